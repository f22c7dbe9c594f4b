"""Ends a run whose loss is not a finite number."""

from __future__ import annotations

import math

from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from .processes import max_over_processes


@HOOKS.register_module()
class FiniteLossHook(Hook):
    """Ends training in the step that has a loss of NaN or inf, before a checkpoint is written.

    All processes end in the same step. Values without 'loss' in their name are ignored, as mmengine
    does in its sum. Gradients that overflow in mixed precision are no failure: the loss is finite
    there, and the gradient scaler skips the update.

    mmengine's `RuntimeInfoHook` reads every loss from the device in each step; its values are
    checked, so that one process has no further synchronisation. Several processes reduce one
    integer in each step.
    """

    # After RuntimeInfoHook, before every hook that logs or saves.
    priority = 'HIGH'

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | tuple | list | None = None,
        outputs: dict | None = None,
    ) -> None:
        """Check the losses of a step.

        Raises:
            FloatingPointError: A loss is not finite, in this or another process.
        """
        scalars = runner.message_hub.log_scalars
        values = {key: scalars[f'train/{key}'].current() for key in outputs or () if 'loss' in key}
        bad = {key: value for key, value in values.items() if not math.isfinite(value)}
        if not max_over_processes(bool(bad)):
            return
        listed = ', '.join(f'{key} is {value}' for key, value in bad.items())
        last = runner.message_hub.runtime_info.get('last_ckpt')
        raise FloatingPointError(
            f'step {runner.iter + 1} of epoch {runner.epoch + 1}: '
            f'{listed or "a loss of another process is not finite"}; the last good checkpoint is '
            f'{last or "the one training started from"}. Lower the learning rate, clip gradients '
            '(optim_wrapper.clip_grad) or check the data'
        )
