"""CLIPSelf of a real-size tower with random weights, for the self-check."""

import torch

import clipself_mm  # noqa: F401 - registers the types
from clipself_mm.distillers import CLIPSelf


def build(tower, side, checkpointing=False):
    """The model on the processor."""
    torch.manual_seed(0)
    return CLIPSelf(
        tower=dict(type='CLIPTower', model=tower, activation_checkpointing=checkpointing),
        data_preprocessor=dict(type='RegionPreprocessor', image_size=side),
    ).train()
