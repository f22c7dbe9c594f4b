"""The tiny CLIP refined with region-text pairs on Shapes-OV (paper, Table 7, row 1), in miniature.

    python tools/test.py configs/shapes/pseudo-labels_tiny_shapes-ov.py
    python tools/train.py configs/shapes/region-text_tiny_shapes-ov.py

The first command writes the pairs. Schedule and proposals are those of
clipself_tiny_rpn-proposals_shapes-ov.py; of an image it reads the first ten pairs. Top-1 of boxes /
thing masks: 66.0 / 58.8 (measured here, seed 0; docs/reproduce.md says why that is above
CLIPSelf).
"""

_base_ = './clipself_tiny_patches_shapes-ov.py'

model = dict(
    _delete_=True,
    type='RegionText',
    tower=_base_.model.tower,
    nouns=dict(vocabulary='shapes_ov_panoptic'),
    unlocked_blocks=None,
    region_text_loss=dict(type='RegionTextLoss', num_sampled=100),
    data_preprocessor=_base_.model.data_preprocessor,
    classifier=_base_.model.classifier,
)
train_dataloader = dict(
    dataset=dict(
        type='RegionTextPairs',
        ann_file='annotations/rpn_pseudo_73.json',
        vocabulary='shapes_ov_panoptic',
        pipeline=[
            dict(type='LoadRGB'),
            dict(
                type='SampleRegions',
                regions=dict(
                    type='ProposalRegions',
                    shuffle=False,
                    min_size=0,
                    max_size=None,
                    max_regions=10,
                    fallback=False,
                ),
            ),
            dict(type='ResizeLongest', size=128),
            dict(type='PackRegions'),
        ],
    ),
)
