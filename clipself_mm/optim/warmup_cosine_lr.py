"""The learning rate of the paper's training: linear warm-up, then half a cosine down to 0."""

from __future__ import annotations

import logging
import math

from mmengine.logging import print_log
from mmengine.optim import BaseOptimWrapper, _ParamScheduler
from mmengine.registry import PARAM_SCHEDULERS
from torch.optim import Optimizer


def warmup_cosine(step: int, warmup: int, total: int) -> float:
    """Share of the base learning rate at one step.

    `(step + 1) / warmup` during the warm-up, then
    `(1 + cos(pi (step - warmup) / (total - warmup))) / 2`.

    Args:
        step: Steps already made, 0 to total - 1.
        warmup: Steps of the warm-up.
        total: Steps of the whole schedule.

    Returns:
        Factor in [0, 1].
    """
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / (total - warmup)))


@PARAM_SCHEDULERS.register_module()
class WarmupCosineLR(_ParamScheduler):
    """Linear warm-up counted in iterations, then a half cosine to 0 until `end`.

    Every value is computed from the step alone, so that a resumed run meets the same digits. Each
    parameter group follows its own base learning rate. The length may be given in epochs:
    `dict(type='WarmupCosineLR', warmup=1000, end=6, by_epoch=True, convert_to_iter_based=True)`.

    Args:
        optimizer: Optimizer or its mmengine wrapper.
        warmup: Iterations of the warm-up, 0 for none. When the whole schedule is not longer, it
            is all warm-up, which is logged as a warning.
        end: First step after the schedule; the length is `end - begin`.
        begin: First step of the schedule.
        last_step: Steps made before, -1 for a fresh start.
        by_epoch: Must be False for a scheduler that stands; `build_iter_from_epoch` makes one out
            of a config in epochs.
        verbose: Log every value.

    Raises:
        ValueError: `by_epoch` without `convert_to_iter_based`, or a negative warm-up.
    """

    def __init__(
        self,
        optimizer: Optimizer | BaseOptimWrapper,
        warmup: int,
        end: int,
        begin: int = 0,
        last_step: int = -1,
        by_epoch: bool = False,
        verbose: bool = False,
    ) -> None:
        if by_epoch:
            raise ValueError(
                'WarmupCosineLR counts iterations: give by_epoch=False, or by_epoch=True together '
                'with convert_to_iter_based=True for a length in epochs'
            )
        if warmup < 0:
            raise ValueError(f'warmup must be at least 0 iterations, got {warmup}')
        if end - begin <= warmup:
            print_log(
                f'WarmupCosineLR: the schedule of {end - begin} iterations ends within its '
                f'warm-up of {warmup}',
                logger='current',
                level=logging.WARNING,
            )
        self.warmup = warmup
        self.total = end - begin
        super().__init__(
            optimizer,
            'lr',
            begin=begin,
            end=end,
            last_step=last_step,
            by_epoch=False,
            verbose=verbose,
        )

    @classmethod
    def build_iter_from_epoch(
        cls,
        *args: object,
        end: float,
        epoch_length: int,
        begin: float = 0,
        by_epoch: bool = True,
        **kwargs: object,
    ) -> WarmupCosineLR:
        """Make the scheduler from a length in epochs.

        Args:
            *args: Handed on.
            end: Epoch at which the schedule ends.
            epoch_length: Iterations of one epoch.
            begin: Epoch at which it begins.
            by_epoch: Must be True.
            **kwargs: Handed on; `warmup` stays in iterations.

        Returns:
            The scheduler, counting iterations.

        Raises:
            ValueError: `by_epoch` is False, or the epoch has no iteration.
        """
        if not by_epoch or epoch_length < 1:
            raise ValueError(
                'a schedule in epochs needs by_epoch=True and a positive epoch_length, got '
                f'by_epoch={by_epoch}, epoch_length={epoch_length}'
            )
        return cls(*args, begin=int(begin * epoch_length), end=int(end * epoch_length), **kwargs)

    def _get_value(self) -> list[float]:
        factor = warmup_cosine(self.last_step, self.warmup, self.total)
        return [base * factor for base in self.base_values]
