"""SyncBN for training on several GPUs, plain BN everywhere else."""

from __future__ import annotations

from mmengine.dist import get_world_size
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import nn

#: Types that are converted; subclasses may override forward and are not.
CONVERTED_TYPES = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


@HOOKS.register_module()
class SyncBNHook(Hook):
    """Converts BN to SyncBN when training starts on several GPUs.

    Configs have `norm_cfg=dict(type='BN')`, which runs anywhere; torch's SyncBN raises on a CPU.
    mmengine's `sync_bn='torch'` depends on the number of processes only, not on the device.

    Parameters, buffers and their names do not change, so DDP, the optimizer and checkpoints are
    not affected. Norms in eval mode use their running statistics before and after.
    """

    def before_train(self, runner: Runner) -> None:
        """Convert the norms of the model if there are several processes, each on a GPU."""
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        processes, device = get_world_size(), device_type(model)
        if processes > 1 and device == 'cuda':
            count = synchronise_batch_norms(model)
            runner.logger.info(f'{count} batch norms are synchronised across {processes} GPUs')
        else:
            runner.logger.info(f'Batch norms are not synchronised ({processes} x {device})')


def synchronise_batch_norms(model: nn.Module) -> int:
    """Replace the batch norms of a model by torch's `SyncBatchNorm`, in place.

    The new modules have the same parameter and buffer objects.

    Returns:
        The number of replaced norms.
    """
    norms = [
        (parent, name, child)
        for parent in model.modules()
        for name, child in parent.named_children()
        if type(child) in CONVERTED_TYPES
    ]
    replacements = {}
    for _, _, norm in norms:
        if norm not in replacements:
            replacement = nn.SyncBatchNorm.convert_sync_batchnorm(norm)
            replacements[norm] = replacement.train(norm.training)
    for parent, name, norm in norms:
        setattr(parent, name, replacements[norm])
    return len(replacements)


def device_type(model: nn.Module) -> str:
    """Device type of the model's first parameter, e.g. ``cuda``."""
    return next(model.parameters()).device.type
