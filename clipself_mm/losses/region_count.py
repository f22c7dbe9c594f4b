"""What a loss over regions is divided by, so that several processes train as one."""

import torch
from mmengine.dist import all_reduce, get_world_size
from torch import Tensor


def mean_region_count(regions: Tensor) -> Tensor | None:
    """Mean number of regions a process holds.

    A sum of losses divided by it has, once the gradients are averaged, the gradients of one process
    with the whole batch, however the regions are spread.

    Args:
        regions: This process's, one a row, shape (R, ...).

    Returns:
        Scalar above 0; None with one process, which divides by its own number.
    """
    if get_world_size() == 1:
        return None
    count = torch.full((), float(len(regions)), device=regions.device)
    all_reduce(count, op='mean')
    return count.clamp_min(1e-6)
