"""F-ViT on EVA-02 CLIP ViT-L/14-336 for OV-LVIS at 896 px: with masks and a normed RPN."""

_base_ = './fvit_eva02-b16_ov-lvis.py'

model = dict(
    data_preprocessor=dict(pad_size_divisor=896),
    backbone=dict(
        tower=dict(model='EVA02-L-14-336', checkpoint='checkpoints/EVA02_CLIP_L_336_psz14_s6B.pt'),
        out_indices=(6, 10, 14, 23),
    ),
    neck=dict(in_channels=[1024, 1024, 1024, 1024]),
    rpn_head=dict(anchor_generator=dict(strides=[3.5, 7, 14, 28, 56])),
    roi_head=dict(
        bbox_roi_extractor=dict(featmap_strides=[3.5, 7, 14, 28]),
        mask_roi_extractor=dict(featmap_strides=[3.5, 7, 14, 28]),
        clip_roi_extractor=dict(out_channels=768, featmap_strides=[14]),
        bbox_head=dict(fc_out_channels=768, beta=0.4),
    ),
)
