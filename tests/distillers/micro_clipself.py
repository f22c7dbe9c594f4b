"""CLIPSelf on the micro CLIP and a batch of random pixels and boxes for it."""

import torch
from mmengine.structures import InstanceData

from clipself_mm.datasets import RegionSample
from clipself_mm.distillers import CLIPSelf

CORRELATION = dict(type='CorrelationDistillLoss', temperature=0.2)
CONTEXT = dict(
    type='ContextDistillLoss',
    foundation=dict(
        type='FoundationModel',
        model='vit_tiny_patch16_224',
        options=dict(embed_dim=16, depth=1, num_heads=2),
    ),
)


def make_model(micro_clip, **options):
    return CLIPSelf(
        tower=dict(type='CLIPTower', model=micro_clip),
        data_preprocessor=dict(type='RegionPreprocessor', image_size=64),
        **options,
    )


def make_batch(counts, seed=0):
    generator = torch.Generator().manual_seed(seed)
    samples = []
    for count in counts:
        corners = torch.rand(count, 2, generator=generator) * 32
        boxes = torch.cat(
            [corners, corners + 8 + 24 * torch.rand(count, 2, generator=generator)], 1
        )
        samples.append(RegionSample(regions=InstanceData(boxes_px=boxes)))
    inputs = dict(
        images=torch.randn(len(counts), 3, 64, 64, generator=generator),
        crops=torch.randn(sum(counts), 3, 32, 32, generator=generator),
    )
    return inputs, samples
