"""Divisor of a loss over regions for distributed training."""

import torch
from mmengine.dist import all_reduce, get_world_size
from torch import Tensor


def mean_region_count(regions: Tensor) -> Tensor | None:
    """Mean number of regions per process.

    A sum of losses divided by it has, after DDP averages gradients, the gradients of one process
    with the whole batch, however regions are distributed.

    Args:
        regions: Regions of this process, one per row, shape (R, ...).

    Returns:
        Scalar above 0; None with one process, where the divisor is R.
    """
    if get_world_size() == 1:
        return None
    count = torch.full((), float(len(regions)), device=regions.device)
    all_reduce(count, op='mean')
    return count.clamp_min(1e-6)
