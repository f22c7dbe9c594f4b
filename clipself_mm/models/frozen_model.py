"""The base of models that only predict: nothing in them trains."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NoReturn

import torch
from mmengine.config import ConfigDict
from mmengine.model import BaseModel
from torch import nn


class FrozenModel(BaseModel):
    """A model for `tools/test.py`: frozen, in eval mode, without a loss.

    Alone it is a base like mmengine's `BaseModel`; before a model class of an mm package
    (`class Segmentor(FrozenModel, EncoderDecoder)`) it switches that one's training off. A subclass
    calls `freeze` once all its modules are built. As in mmdet and mmseg, `predict` and `_forward`
    take inputs and data samples.
    """

    def freeze(self) -> None:
        """Freeze all parameters and set all modules to eval mode.

        One parameter more, `unused`, asks for a gradient: DistributedDataParallel refuses a model
        without any.
        """
        self.requires_grad_(False)
        self.unused = nn.Parameter(torch.zeros(1))
        for module in self.modules():
            module.training = False  # not by `eval`, which would compute text embeddings

    def train(self, mode: bool = True) -> FrozenModel:
        """Stay in eval mode, whatever the mode."""
        return super().train(False)

    def forward(self, inputs: object, data_samples: object = None, mode: str = 'tensor') -> object:
        """Dispatch to `predict` or, with `mode='tensor'`, `_forward`.

        Raises:
            NotImplementedError: `mode='loss'`.
        """
        if mode == 'predict':
            return self.predict(inputs, data_samples)
        if mode == 'tensor':
            return self._forward(inputs, data_samples)
        return self.loss(inputs, data_samples)

    def loss(self, *_: object) -> NoReturn:
        """Refuse to train.

        Raises:
            NotImplementedError: Always.
        """
        raise NotImplementedError(
            f'{type(self).__name__} only predicts, nothing in it trains: run its config with '
            'tools/test.py'
        )


def read_test_cfg(
    given: Mapping | None, defaults: Mapping, optional: Collection[str] = ()
) -> ConfigDict:
    """Complete the test settings of a model.

    Args:
        given: From the config.
        defaults: Settings and their values.
        optional: Settings without a default.

    Raises:
        ValueError: A setting is unknown.
    """
    known = {*defaults, *optional}
    if unknown := sorted(set(given or {}) - known):
        raise ValueError(f'test_cfg has {unknown}, expected some of {sorted(known)}')
    return ConfigDict({**defaults, **(given or {})})
