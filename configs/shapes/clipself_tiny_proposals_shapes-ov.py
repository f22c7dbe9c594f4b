"""CLIPSelf of the tiny CLIP on Shapes-OV with region proposals in miniature.

    python tools/make_shapes_ov.py
    python tools/train.py configs/shapes/clipself_tiny_proposals_shapes-ov.py

Jittered boxes of base classes stand in the place of proposals.
Expected top-1 of boxes: 62.4 (measured here, mean over 3 seeds; docs/reproduce.md).
"""

_base_ = './clipself_tiny_patches_shapes-ov.py'

_base_.train_dataloader.dataset.pipeline[1].regions = dict(
    type='ProposalRegions', min_size=8, max_size=1024, max_regions=20, crop_scale=1.5, jitter=0.1
)
