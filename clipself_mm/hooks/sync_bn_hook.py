"""Batch norms that share their statistics across GPUs, and stay plain everywhere else."""

from __future__ import annotations

from mmengine.dist import get_world_size
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import nn

#: What is converted. A subclass may do more in its forward and stays as it is.
PLAIN = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


@HOOKS.register_module()
class SyncBNHook(Hook):
    """Turns BN into SyncBN when a training starts on several GPUs.

    Configs say `norm_cfg=dict(type='BN')`, which runs anywhere; torch's SyncBN raises on a CPU.
    mmengine's own switch `sync_bn='torch'` knows the number of processes only, not the device.

    Weights, statistics and their names stay what they were, so DDP, the optimizer and checkpoints
    notice nothing. Norms in eval mode use their running statistics before and after.
    """

    def before_train(self, runner: Runner) -> None:
        """Convert the norms of the model if there are several processes, each on a GPU.

        Args:
            runner: The runner of the training, its model wrapped already.
        """
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        processes, device = get_world_size(), device_type(model)
        if processes > 1 and device == 'cuda':
            count = synchronise_batch_norms(model)
            runner.logger.info(f'{count} batch norms share statistics across {processes} GPUs')
        else:
            runner.logger.info(f'Batch norms stay unsynchronised ({processes} x {device})')


def synchronise_batch_norms(model: nn.Module) -> int:
    """Replace the batch norms inside a model by torch's `SyncBatchNorm`, in place.

    Args:
        model: Its norms' parameters and buffers move into the new modules as the same objects.

    Returns:
        How many were replaced.
    """
    places = [
        (parent, name, child)
        for parent in model.modules()
        for name, child in parent.named_children()
        if type(child) in PLAIN
    ]
    replacements = {}
    for _, _, norm in places:
        if norm not in replacements:
            replacement = nn.SyncBatchNorm.convert_sync_batchnorm(norm)
            replacements[norm] = replacement.train(norm.training)
    for parent, name, norm in places:
        setattr(parent, name, replacements[norm])
    return len(replacements)


def device_type(model: nn.Module) -> str:
    """Kind of device the model's first parameter is on, e.g. ``cuda``."""
    return next(model.parameters()).device.type
