"""Weights as one process has them, also where FSDP has spread them over several."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.distributed.fsdp import FullyShardedDataParallel as FSDP

#: What wrappers of FSDP and of torch's checkpointing put into the names of weights.
WRAPPINGS = ('_fsdp_wrapped_module.', '_checkpoint_wrapped_module.')


@contextmanager
def whole_weights(model: nn.Module) -> Iterator[None]:
    """Gather the weights of a spread model on every process; what is changed in them stays.

    All processes have to enter. Without FSDP nothing happens.

    Args:
        model: The whole model with its wrapper.
    """
    if not isinstance(model, FSDP):
        yield
        return
    with FSDP.summon_full_params(model, writeback=True):
        yield


def whole_state(part: nn.Module) -> dict[str, Tensor]:
    """State of a part of a model under the names it has without wrappers.

    Args:
        part: Inside `whole_weights`, if its model is spread.

    Returns:
        The weights themselves, not copies.

    Raises:
        NotImplementedError: A spread part has buffers in its state.
    """
    if not any(isinstance(module, FSDP) for module in part.modules()):
        return part.state_dict()
    for name, module in part.named_modules():
        kept = module._buffers.keys() - module._non_persistent_buffers_set
        if kept:
            raise NotImplementedError(f'{name}: buffers {sorted(kept)} of a spread model')
    return {_bare(name): weight.detach() for name, weight in part.named_parameters()}


@torch.no_grad()
def load_whole_state(part: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Write values into a part of a model; see `whole_state`.

    Raises:
        KeyError: The state lacks a weight.
    """
    for name, value in whole_state(part).items():
        value.copy_(state[name])


def _bare(name: str) -> str:
    """A weight's name without the wrappers'."""
    for wrapping in WRAPPINGS:
        name = name.replace(wrapping, '')
    return name
