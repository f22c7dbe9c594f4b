"""CLIPSelf of the tiny CLIP with the proposals of an RPN (paper, Table 2, row 3), in miniature.

    python tools/test.py configs/shapes/rpn_tiny_shapes-ov.py CHECKPOINT
    python tools/train.py configs/shapes/clipself_tiny_rpn-proposals_shapes-ov.py

The first command writes the proposals of an F-ViT trained on base classes, 20 an image; each pass
draws ten of them.
"""

_base_ = './clipself_tiny_patches_shapes-ov.py'

train_dataloader = dict(dataset=dict(ann_file='annotations/rpn_proposals.json'))
_base_.train_dataloader.dataset.pipeline[1].regions = dict(
    type='ProposalRegions', min_size=8, max_size=1024, max_regions=10, crop_scale=1.5
)
