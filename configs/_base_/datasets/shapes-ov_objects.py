"""Regions to distil on Shapes-OV: boxes of objects found without labels, and grid patches."""

_base_ = './shapes-ov_patches.py'

train_dataloader = dict(dataset=dict(ann_file='annotations/object_regions.json'))
_base_.train_dataloader.dataset.pipeline[1].regions = dict(
    type='MixedRegions',
    parts=[
        dict(type='ProposalRegions', max_regions=10, crop_scale=1.5, fallback=False),
        dict(type='GridRegions', max_split=6, max_regions=20),
    ],
    shares=[0.7, 0.3],
)
