"""CLIPSelf of a real-size tower with random weights and pixels, for the self-check."""

import torch
from mmengine.structures import InstanceData

import clipself_mm  # noqa: F401 - registers the types
from clipself_mm.datasets import RegionSample
from clipself_mm.distillers import CLIPSelf


def build(tower, side, checkpointing=False):
    """The model on the processor."""
    torch.manual_seed(0)
    return CLIPSelf(
        tower=dict(type='CLIPTower', model=tower, activation_checkpointing=checkpointing),
        data_preprocessor=dict(type='RegionPreprocessor', image_size=side),
    ).train()


def batch(side, crop_side, crops, images=1):
    """A collated batch as the dataloader gives it."""
    generator = torch.Generator().manual_seed(0)

    def pixels(*shape):
        return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)

    corners = torch.rand(crops, 2, generator=generator) * side / 2
    boxes = torch.cat([corners, corners + side / 4], dim=1)
    return dict(
        inputs=dict(
            image=[pixels(3, side, side) for _ in range(images)],
            crops=[pixels(crops, 3, crop_side, crop_side) for _ in range(images)],
        ),
        data_samples=[
            RegionSample(regions=InstanceData(boxes_px=boxes.clone())) for _ in range(images)
        ],
    )
