"""Regions of an image: objects found without labels in 80% of the images, else grid cells."""

object_regions = dict(
    type='MixedRegions',
    parts=[
        # The search limits segments by their share of the image; in large photos they are large.
        dict(type='ProposalRegions', max_size=None, max_regions=20, crop_scale=1.5, fallback=False),
        dict(type='GridRegions', max_split=6, max_regions=20),
    ],
    shares=[0.8, 0.2],
)
