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
INGREDIENTS = dict(
    token=dict(dense_losses=[dict(type='TokenDistillLoss')]),
    image=dict(dense_losses=[dict(type='ImageDistillLoss')]),
    relational=dict(dense_losses=[dict(type='RelationalDistillLoss', queue_size=16)]),
    centred=dict(distill_loss=dict(type='CentredCosineLoss', confidence=1.0)),
    pooling=dict(pooling=dict(type='SimilarityPooling')),
)
"""Options of a CLIPSelf that add one part each."""
ALL_INGREDIENTS = dict(
    INGREDIENTS['centred'],
    **INGREDIENTS['pooling'],
    dense_losses=[
        INGREDIENTS[name]['dense_losses'][0] for name in ('token', 'image', 'relational')
    ],
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


def raw_items(counts):
    """Samples as the pipeline gives them, one with each number of regions, of 40 x 50 px."""
    generator = torch.Generator().manual_seed(0)
    items = []
    for count in counts:
        corners = torch.rand(count, 2, generator=generator) * 24
        sample = RegionSample(metainfo=dict(ori_shape=(80, 100), scale=0.5))
        sample.regions = InstanceData(boxes_px=torch.cat([corners, corners + 9], dim=1))
        image = torch.randint(256, (3, 40, 50), generator=generator, dtype=torch.uint8)
        crops = torch.randint(256, (count, 3, 32, 32), generator=generator, dtype=torch.uint8)
        items.append(dict(inputs=dict(image=image, crops=crops), data_samples=sample))
    return items
