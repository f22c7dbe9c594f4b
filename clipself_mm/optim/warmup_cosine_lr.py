"""Learning rate schedule of the paper: linear warm-up, then a half cosine to 0."""

from __future__ import annotations

import logging
import math

from mmengine.logging import print_log
from mmengine.optim import BaseOptimWrapper, _ParamScheduler
from mmengine.registry import PARAM_SCHEDULERS
from torch.optim import Optimizer


def warmup_cosine(step: int, warmup: int, total: int) -> float:
    """Factor on the base learning rate at one step.

    `(step + 1) / warmup` during the warm-up, then
    `(1 + cos(pi (step - warmup) / (total - warmup))) / 2`.

    Args:
        step: Steps done before, 0 to total - 1.
        warmup: Steps of the warm-up.
        total: Steps of the schedule with the warm-up.

    Returns:
        Factor in [0, 1].
    """
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / (total - warmup)))


@PARAM_SCHEDULERS.register_module()
class WarmupCosineLR(_ParamScheduler):
    """Linear warm-up counted in iterations, then a half cosine to 0 until `end`.

    Every value is computed from the step alone, so that a resumed run has bit-identical learning
    rates. Parameter groups may have different base learning rates. The length may be given in
    epochs:
    `dict(type='WarmupCosineLR', warmup=1000, end=6, by_epoch=True, convert_to_iter_based=True)`.

    Args:
        optimizer: Optimizer or its mmengine wrapper.
        warmup: Iterations of the warm-up, 0 for none. A warning is logged if the schedule is not
            longer than that.
        end: First step after the schedule; the length is `end - begin`.
        begin: First step of the schedule.
        last_step: Last step of the run to resume, -1 for a new run.
        by_epoch: Must be False; `build_iter_from_epoch` handles a config in epochs.
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
                f'WarmupCosineLR: the schedule of {end - begin} iterations ends within the '
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
        optimizer: Optimizer | BaseOptimWrapper,
        warmup: int,
        *,
        end: float,
        epoch_length: int,
        begin: float = 0,
        by_epoch: bool = True,
        last_step: int = -1,
        verbose: bool = False,
    ) -> WarmupCosineLR:
        """Build the scheduler from a length in epochs; mmengine calls this.

        Args:
            optimizer: As in the class.
            warmup: As in the class, in iterations.
            end: Epoch at which the schedule ends.
            epoch_length: Iterations per epoch.
            begin: Epoch at which the schedule begins.
            by_epoch: Must be True.
            last_step: As in the class, in iterations.
            verbose: As in the class.

        Raises:
            ValueError: `by_epoch` is False, or the epoch has no iterations.
        """
        if not by_epoch or epoch_length < 1:
            raise ValueError(
                'a schedule in epochs needs by_epoch=True and a positive epoch_length, got '
                f'by_epoch={by_epoch}, epoch_length={epoch_length}'
            )
        return cls(
            optimizer,
            warmup,
            begin=int(begin * epoch_length),
            end=int(end * epoch_length),
            last_step=last_step,
            verbose=verbose,
        )

    def _get_value(self) -> list[float]:
        factor = warmup_cosine(self.last_step, self.warmup, self.total)
        return [base * factor for base in self.base_values]
