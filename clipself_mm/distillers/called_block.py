"""A block that towers use through a call, so that FSDP knows when its weights are needed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import ActivationWrapper


class CalledBlock(ActivationWrapper):
    """Hands its block to whatever function it is called with.

    Towers compute a block's output from its weights and never call the block itself. FSDP gathers a
    module's weights when the module is called. The names of weights are those of the bare block, in
    states of the model and of the optimizer, which is what torch's `ActivationWrapper` is for.

    Args:
        block: A block of a `ViTTower`.
    """

    runs_functions = True

    def __init__(self, block: nn.Module) -> None:
        super().__init__(block)

    def forward(self, run: Callable[..., Any], *inputs: Any) -> Any:  # noqa: ANN401
        """``run(block, *inputs)``."""
        return run(self._checkpoint_wrapped_module, *inputs)
