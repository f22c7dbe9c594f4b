"""Decisions that all processes of a run take together."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.dist import all_reduce, get_comm_device, get_world_size
from torch import Tensor

from .host_copy import HostCopy


def max_over_processes(value: int) -> int:
    """The largest of the values of all processes; a collective if there are several."""
    if get_world_size() == 1:
        return value
    number = torch.tensor(value)
    all_reduce(number, 'max')
    return int(number)


class DelayedMax:
    """The largest value of all processes, step after step, without waiting for a CUDA device.

    There, each maximum is read in the step after: all processes learn it in the same step.
    Elsewhere it is known at once.
    """

    def __init__(self) -> None:
        self._pending: tuple[HostCopy, Any] | None = None

    def exchange(self, value: int | Tensor, note: object = None) -> list[tuple[int, Any]]:
        """Give the value of a step; a collective if there are several processes.

        Args:
            value: An integer, or a tensor of one on its device.
            note: Comes back with the maximum.

        Returns:
            Maximum and note of each step that is known now and was not before.
        """
        known = self.rest()
        several = get_world_size() > 1
        if not (several or isinstance(value, Tensor)):
            return [*known, (value, note)]
        if not isinstance(value, Tensor):
            value = torch.full((), value, device=get_comm_device())
        number = value.int()
        if several:
            all_reduce(number, 'max')
        self._pending = HostCopy(number), note
        return known if HostCopy.is_worthwhile(number) else [*known, *self.rest()]

    def rest(self) -> list[tuple[int, Any]]:
        """What is not known yet; waits for it."""
        if self._pending is None:
            return []
        (copy, note), self._pending = self._pending, None
        return [(int(copy.read()[0]), note)]
