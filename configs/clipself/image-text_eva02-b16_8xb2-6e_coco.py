"""Image-level supervision by captions at full size: what the input size alone does.

    tools/dist_train.sh configs/clipself/image-text_eva02-b16_8xb2-6e_coco.py 8 --amp

Expected top-1 / top-5 of boxes: 52.3 / 76.4 (paper, Table 1c, row 5*; its text says 52.1). The
paper says no more than "image-level supervision from COCO Caption"; loss (symmetric InfoNCE over
the 16 pairs of all GPUs), fixed logit scale and schedule (CLIPSelf's) are chosen here.
"""

_base_ = './clipself_eva02-b16_patches_8xb2-6e_coco.py'

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
    dataset=dict(
        type='CaptionedImages',
        ann_file='annotations/captions_train2017.json',
        pipeline=[
            dict(type='LoadRGB'),
            dict(type='ChooseCaption'),
            dict(type='ResizeLongest', size=1024),
            dict(type='PackRegions'),
        ],
    )
)
