"""Losses that reach the logs without the host waiting for a CUDA device in each step."""

from __future__ import annotations

import torch
from mmengine.hooks import LoggerHook, RuntimeInfoHook
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import Tensor

from .host_copy import HostCopy


@HOOKS.register_module()
class DelayedRuntimeInfoHook(RuntimeInfoHook):
    """mmengine's `RuntimeInfoHook`, which reads the losses of a step when the next one is queued.

    mmengine reads them at once: the host waits until the device has finished the step, and the
    device then waits until the host has queued the next. All losses are read before anything is
    logged, validated or saved, so logs and checkpoints are the same. A hook that reads the message
    hub in other steps finds the losses of the step before.
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
        """Record the losses of the step before, and this step's where the logger reads them."""
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
        if self._logs(runner, batch_idx):
            self._record(runner)

    def after_train_epoch(self, runner: Runner) -> None:
        """Record what is left."""
        self._record(runner)

    def before_val(self, runner: Runner) -> None:
        """Record what is left, also amid an epoch."""
        self._record(runner)
        super().before_val(runner)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Record what is left, and put it into the checkpoint."""
        if self._pending is not None:
            self._record(runner)
            checkpoint['message_hub'] = runner.message_hub.state_dict()

    def _logs(self, runner: Runner, batch_idx: int) -> bool:
        """Whether a `LoggerHook` may read the message hub in this step."""
        return self.end_of_epoch(runner.train_dataloader, batch_idx) or any(
            self.every_n_inner_iters(batch_idx, hook.interval)
            for hook in runner.hooks
            if isinstance(hook, LoggerHook)
        )

    def _record(self, runner: Runner) -> None:
        if self._pending is None:
            return
        (keys, copy), self._pending = self._pending, None
        for key, value in zip(keys, copy.read(), strict=True):
            runner.message_hub.update_scalar(f'train/{key}', value)
