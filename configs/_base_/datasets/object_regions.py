"""Regions of an image: objects found without labels in 70% of the images, else grid cells."""

object_regions = dict(
    type='MixedRegions',
    parts=[
        dict(type='ProposalRegions', max_regions=20, crop_scale=1.5, fallback=False),
        dict(type='GridRegions', max_split=6, max_regions=20),
    ],
    shares=[0.7, 0.3],
)
