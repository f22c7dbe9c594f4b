"""Ends a run whose loss is not a finite number."""

from __future__ import annotations

import math
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import Tensor

from .delayed_runtime_info_hook import step_is_awaited
from .host_copy import HostCopy
from .processes import DelayedMax


@HOOKS.register_module()
class FiniteLossHook(Hook):
    """Ends training in the step that has a loss of NaN or inf, before a checkpoint is written.

    All processes end in the same step. Beside a `DelayedRuntimeInfoHook`, on a CUDA device, it is
    the next one, for the host does not wait for the losses of every step there. Values without
    'loss' in their name are ignored, as mmengine does in its sum. Gradients that overflow in mixed
    precision are no failure: the loss is finite there, and the gradient scaler skips the update.

    Several processes reduce one integer in each step.
    """

    # Before every hook that logs or saves.
    priority = 'HIGH'

    def __init__(self) -> None:
        self._bad = DelayedMax()

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | tuple | list | None = None,
        outputs: dict | None = None,
    ) -> None:
        """Check the losses of a step, or of the one before.

        Raises:
            FloatingPointError: A loss is not finite, in this or another process.
        """
        losses = {
            key: value.detach().clone() if isinstance(value, Tensor) else value
            for key, value in (outputs or {}).items()
            if 'loss' in key
        }
        step = f'step {runner.iter + 1} of epoch {runner.epoch + 1}'
        self._check(runner, self._bad.exchange(_has_bad(losses), (step, losses)))
        if step_is_awaited(runner, batch_idx):
            self.check(runner)

    def check(self, runner: Runner) -> None:
        """Check the losses that are not read yet; in all processes or in none.

        Raises:
            FloatingPointError: A loss is not finite, in this or another process.
        """
        self._check(runner, self._bad.rest())

    @staticmethod
    def _check(runner: Runner, known: list[tuple[int, Any]]) -> None:
        for bad, (step, losses) in known:
            if not bad:
                continue
            values = {key: float(value) for key, value in losses.items()}
            listed = ', '.join(f'{k} is {v}' for k, v in values.items() if not math.isfinite(v))
            last = runner.message_hub.runtime_info.get('last_ckpt')
            raise FloatingPointError(
                f'{step}: {listed or "a loss of another process is not finite"}; the last good '
                f'checkpoint is {last or "the one training started from"}. Lower the learning '
                'rate, clip gradients (optim_wrapper.clip_grad) or check the data'
            )


def _has_bad(losses: dict[str, Any]) -> bool | Tensor:
    """Whether a loss is not finite; a tensor where some are on a device that works on."""
    queued, bad = [], False
    for value in losses.values():
        if isinstance(value, Tensor) and HostCopy.is_worthwhile(value):
            queued.append(~value.isfinite().all())
        else:
            bad |= not math.isfinite(float(value))
    return torch.stack(queued).any() | bad if queued else bad
