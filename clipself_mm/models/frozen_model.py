"""Base class of models that only predict."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NoReturn

import torch
from mmengine.config import ConfigDict
from mmengine.model import BaseModel
from torch import nn


class FrozenModel(BaseModel):
    """A model for `tools/test.py`: frozen, in eval mode, without a loss.

    Use it in place of mmengine's `BaseModel`, or before a model class of an mm package, whose
    training it disables (`class Segmentor(FrozenModel, EncoderDecoder)`). A subclass calls `freeze`
    after it has built all modules. `predict` and `_forward` take inputs and data samples, as in
    mmdet and mmseg.
    """

    def freeze(self) -> None:
        """Freeze all parameters and set all modules to eval mode.

        An additional parameter `unused` requires a gradient, because DistributedDataParallel
        raises if no parameter does.
        """
        self.requires_grad_(False)
        self.unused = nn.Parameter(torch.zeros(1))
        for module in self.modules():
            module.training = False  # not `eval()`, which computes text embeddings

    def train(self, mode: bool = True) -> FrozenModel:
        """Stay in eval mode; `mode` is ignored."""
        return super().train(False)

    def forward(self, inputs: object, data_samples: object = None, mode: str = 'tensor') -> object:
        """Dispatch to `predict` or, for `mode='tensor'`, `_forward`; `mode='loss'` raises."""
        if mode == 'predict':
            return self.predict(inputs, data_samples)
        if mode == 'tensor':
            return self._forward(inputs, data_samples)
        return self.loss(inputs, data_samples)

    def loss(self, *_: object) -> NoReturn:
        """Raise NotImplementedError."""
        raise NotImplementedError(
            f'{type(self).__name__} only predicts, nothing in it trains: use tools/test.py'
        )


def read_test_cfg(
    given: Mapping | None, defaults: Mapping, optional: Collection[str] = ()
) -> ConfigDict:
    """Complete the `test_cfg` of a model.

    Args:
        given: `test_cfg` of the config.
        defaults: Keys and their default values.
        optional: Keys without a default.

    Raises:
        ValueError: A key is unknown.
    """
    known = {*defaults, *optional}
    if unknown := sorted(set(given or {}) - known):
        raise ValueError(f'test_cfg has {unknown}, expected only keys of {sorted(known)}')
    return ConfigDict({**defaults, **(given or {})})
