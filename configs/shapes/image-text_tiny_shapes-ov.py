"""Captions of whole images instead of regions: Table 1c's row 5* in miniature.

    python tools/train.py configs/shapes/image-text_tiny_shapes-ov.py

Measured here, cut to 5 epochs: docs/results/table_1c.md. A batch has the 16 pairs
that the paper's 8 GPUs have together, so an epoch has an eighth of the steps of CLIPSelf's.
"""

_base_ = './clipself_tiny_patches_shapes-ov.py'

model = dict(
    _delete_=True,
    type='ImageText',
    tower=_base_.model.tower,
    unlocked_blocks=None,
    contrastive_loss=dict(type='ContrastiveLoss'),
    data_preprocessor=_base_.model.data_preprocessor,
    classifier=_base_.model.classifier,
)
train_dataloader = dict(
    batch_size=16,
    dataset=dict(
        type='CaptionedImages',
        ann_file='annotations/captions_train.json',
        pipeline=[
            dict(type='LoadRGB'),
            dict(type='ChooseCaption'),
            dict(type='ResizeLongest', size=128),
            dict(type='PackRegions'),
        ],
    ),
)
auto_scale_lr = dict(base_batch_size=16)
