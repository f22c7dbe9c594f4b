"""Losses that reach the logs without the host waiting for a CUDA device in each step."""

from __future__ import annotations

import torch
from mmengine.hooks import LoggerHook, RuntimeInfoHook
from mmengine.registry import HOOKS
from mmengine.runner import IterBasedTrainLoop, Runner
from mmengine.utils import apply_to
from torch import Tensor

from .host_copy import HostCopy


@HOOKS.register_module()
class DelayedRuntimeInfoHook(RuntimeInfoHook):
    """mmengine's `RuntimeInfoHook`, which reads the losses of a step when the next one is queued.

    mmengine reads them at once: the host waits until the device has finished the step, and the
    device then waits until the host has queued the next. All losses are read before anything is
    logged, validated or saved, so logs and checkpoints are the same. In other steps the message hub
    has the losses of the step before, and none in the first; a hook that needs a step's own reads
    them from `outputs`.
    """

    def __init__(self) -> None:
        super().__init__()
        self._pending: tuple[list[str], HostCopy] | None = None

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | tuple | list | None = None,
        outputs: dict | None = None,
    ) -> None:
        """Record the losses of the step before, and this step's where they are looked at."""
        self._record(runner)
        outputs = outputs or {}
        delayed = {
            key: value
            for key, value in outputs.items()
            if isinstance(value, Tensor) and HostCopy.is_worthwhile(value)
        }
        rest = {key: value for key, value in outputs.items() if key not in delayed}
        super().after_train_iter(runner, batch_idx, data_batch, rest)
        if delayed:
            values = [value.detach().double().reshape(()) for value in delayed.values()]
            self._pending = list(delayed), HostCopy(torch.stack(values))
        if step_is_awaited(runner, batch_idx):
            self._record(runner)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Record what is left, and put it into the checkpoint."""
        if self._pending is not None:
            self._record(runner)
            state = runner.message_hub.state_dict()
            checkpoint['message_hub'] = apply_to(
                state, lambda item: hasattr(item, 'cpu'), lambda item: item.cpu()
            )

    def _record(self, runner: Runner) -> None:
        if self._pending is None:
            return
        (keys, copy), self._pending = self._pending, None
        for key, value in zip(keys, copy.read(), strict=True):
            runner.message_hub.update_scalar(f'train/{key}', value)


def step_is_awaited(runner: Runner, batch_idx: int) -> bool:
    """Whether the host waits for the device in a step.

    It does where mmengine's own `RuntimeInfoHook` reads the losses; otherwise before a line of the
    log, a validation and the end.
    """
    if not any(isinstance(hook, DelayedRuntimeInfoHook) for hook in runner.hooks):
        return True
    loop, done = runner.train_loop, runner.iter + 1
    if isinstance(loop, IterBasedTrainLoop) and (
        done % loop.val_interval == 0 or done == loop.max_iters
    ):
        return True
    loggers = [hook for hook in runner.hooks if isinstance(hook, LoggerHook)]
    return (batch_idx + 1) == len(runner.train_dataloader) or any(
        hook.every_n_inner_iters(batch_idx, hook.interval) for hook in loggers
    )
