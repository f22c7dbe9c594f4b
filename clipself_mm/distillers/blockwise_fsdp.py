"""FSDP for models with a ViT tower that trains: one block at a time is whole."""

from __future__ import annotations

import torch
from mmengine.device import get_device
from mmengine.model import MMFullyShardedDataParallel
from mmengine.registry import MODEL_WRAPPERS
from torch import nn

from clipself_mm.clip import ViTTower

from .called_block import CalledBlock


def is_called_block(module: nn.Module, recurse: bool, nonwrapped_numel: int) -> bool:
    """FSDP's policy of what is a unit: every block of every tower; see torch for the arguments."""
    return recurse or isinstance(module, CalledBlock)


@MODEL_WRAPPERS.register_module()
class BlockwiseFSDP(MMFullyShardedDataParallel):
    """mmengine's wrapper with the blocks of the towers that train as units.

    Towers that do not train are whole on every process: a teacher runs as often as its process has
    crops, and what is gathered by all processes has to be asked for by all equally often. Frozen
    and training weights of one tower may share a unit: `use_orig_params` is always on.

    Args:
        module: A model with at least one `ViTTower` that trains.
        **kwargs: As in mmengine's `MMFullyShardedDataParallel`, without `auto_wrap_policy`,
            `use_orig_params` and `ignored_modules`.

    Raises:
        ValueError: The model has no such tower, or `kwargs` has what is fixed here.
    """

    def __init__(self, module: nn.Module, **kwargs: object) -> None:
        fixed = {'auto_wrap_policy', 'use_orig_params', 'ignored_modules'} & kwargs.keys()
        if fixed:
            raise ValueError(f'BlockwiseFSDP sets {", ".join(sorted(fixed))} itself')
        trained, frozen = [], []
        for part in module.modules():
            if isinstance(part, ViTTower):
                trains = any(weight.requires_grad for weight in part.parameters())
                (trained if trains else frozen).append(part)
        if not trained:
            raise ValueError(
                f'BlockwiseFSDP spreads the blocks of a ViT tower that trains, which '
                f'{type(module).__name__} has not'
            )
        for tower in trained:
            for index, block in enumerate(tower.blocks):
                tower.blocks[index] = CalledBlock(block)
        for tower in frozen:  # FSDP does not move what it does not spread
            tower.to(get_device())
        if get_device() == 'cpu':  # mmengine hands the number of a GPU
            kwargs['device_id'] = torch.device('cpu')
        super().__init__(
            module,
            auto_wrap_policy=is_called_block,
            use_orig_params=True,
            ignored_modules=frozen,
            **kwargs,
        )
