"""F-ViT on EVA-02 CLIP ViT-L/14-336 refined by CLIPSelf with image patches, on OV-COCO.

    tools/dist_train.sh configs/fvit/fvit_eva02-l14-336_8xb8-3e_ov-coco.py 8 --amp

The tower is what configs/clipself/clipself_eva02-l14-336_patches_1xb2-44k_coco.py leaves behind;
any other is one key, ``model.backbone.tower.checkpoint`` (README.md).
Expected AP50 novel / base / all: 38.4 / 60.6 / 54.8 (paper, Table A5), the best of the 3 epochs by
novel AP50: the release's config says "usually ... at epoch 2".
"""

_base_ = './fvit_eva02-b16_8xb8-3e_ov-coco.py'

tower = 'work_dirs/clipself_eva02-l14-336_patches_1xb2-44k_coco/tower/open_clip_model.safetensors'
image_size, strides, dim = (896, 896), [3.5, 7, 14, 28, 56], 768
model = dict(
    data_preprocessor=dict(pad_size_divisor=28),
    backbone=dict(
        tower=dict(model='EVA02-L-14-336', checkpoint=tower), out_indices=(6, 10, 14, 23)
    ),
    neck=dict(in_channels=[1024, 1024, 1024, 1024]),
    rpn_head=dict(anchor_generator=dict(strides=strides)),
    roi_head=dict(
        bbox_roi_extractor=dict(featmap_strides=strides[:4]),
        clip_roi_extractor=dict(out_channels=dim, featmap_strides=strides[2:3]),
        bbox_head=dict(fc_out_channels=dim),
    ),
)
train_pipeline, test_pipeline = _base_.train_pipeline, _base_.test_pipeline
tta_pipeline = _base_.tta_pipeline
train_pipeline[2].scale = train_pipeline[3].crop_size = test_pipeline[1].scale = image_size
tta_pipeline[1].transforms[0][0].scale = image_size
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
