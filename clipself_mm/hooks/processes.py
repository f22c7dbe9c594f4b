"""Decisions that all processes of a run take together."""

from __future__ import annotations

import torch
from mmengine.dist import all_reduce, get_world_size


def max_over_processes(value: int) -> int:
    """The largest of the values of all processes; a collective if there are several.

    One integer is reduced and read back. In `after_train_iter` mmengine has already read the losses
    from the device, so the read waits for this reduction only.
    """
    if get_world_size() == 1:
        return value
    number = torch.tensor(value)
    all_reduce(number, 'max')
    return int(number)
