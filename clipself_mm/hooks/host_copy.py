"""Values that leave a CUDA device while it works on."""

from __future__ import annotations

import torch
from torch import Tensor


class HostCopy:
    """Numbers on their way from the device, to be read when it has had time for them.

    The copy is queued behind what the device has to do. Reading it at once would wait for all of
    that, and the device would wait in turn until the host has queued the next step. Read one step
    later, it waits for neither.

    Args:
        values: On any device; from others than CUDA they are copied at once.
    """

    def __init__(self, values: Tensor) -> None:
        self._values = values.detach().to('cpu', non_blocking=values.is_cuda)
        self._copied = torch.cuda.Event(blocking=True) if values.is_cuda else None
        if self._copied is not None:
            self._copied.record()

    @staticmethod
    def is_worthwhile(values: Tensor) -> bool:
        """Whether reading at once would wait for a device."""
        return values.is_cuda

    def read(self) -> list[float] | list[int]:
        """The numbers; waits until the device has come as far as the copy."""
        if self._copied is not None:
            self._copied.synchronize()
        return self._values.flatten().tolist()
