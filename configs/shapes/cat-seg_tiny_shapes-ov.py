"""CAT-Seg on the tiny CLIP and Shapes-OV: open-vocabulary segmentation (Table 5) in miniature.

    python tools/make_shapes_ov.py
    python tools/train.py configs/shapes/cat-seg_tiny_shapes-ov.py

It learns from the 50 base things and 8 kinds of stuff and is tested on all 73 classes. A distilled
tower takes the original's place with ``--cfg-options
model.backbone.tower.model=local-dir:WORK_DIR/tower``.

Expected mIoU / mAcc: 2.54 / 4.63 on the original tower (measured here, one seed); refined towers:
docs/segmentation.md.
"""

_base_ = [
    '../_base_/models/cat-seg_openai-b16.py',
    '../_base_/datasets/semantic_shapes-ov.py',
    '../_base_/cat-seg_80k.py',
]

max_iters = 500
# Every part of the real one, narrower; one stage of upsampling, from steps of 8 px to 4 px.
model = dict(
    data_preprocessor=dict(size=(96, 96)),
    backbone=dict(
        tower=dict(_delete_=True, type='CLIPTower', model='pkg:clipself_mm.shapes/tiny_clip'),
        out_indices=(2,),
        input_size=None,
    ),
    decode_head=dict(
        vocabulary='shapes_ov_panoptic_base',
        test_vocabulary='shapes_ov_panoptic',
        embed_dim=128,
        tower_width=128,
        channels=32,
        guidance_channels=32,
        layers=1,
        heads=2,
        window=4,
        up_channels=(8,),
        up_guidance_channels=(4,),
        up_inner_channels=(32,),
    ),
    test_cfg=dict(_delete_=True, mode='whole', keep_logits=False),
)

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadPanopticSemantic'),
    dict(type='RandomResize', scale=(128, 128), ratio_range=(0.75, 1.25), keep_ratio=True),
    dict(type='RandomCrop', crop_size=(96, 96)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs'),
]
train_dataloader = dict(
    batch_size=4,
    num_workers=0,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type='PanopticSegDataset',
        data_root='data/shapes_ov/',
        ann_file='annotations/panoptic_train.json',
        data_prefix=dict(img_path='train/', seg_map_path='annotations/panoptic_train/'),
        vocabulary='shapes_ov_panoptic_base',
        ignore_unknown=True,
        pipeline=train_pipeline,
    ),
)
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
optim_wrapper = dict(optimizer=dict(lr=1e-3), clip_grad=dict(max_norm=1.0))
param_scheduler = [
    dict(
        type='CosineAnnealingLR', eta_min=0, begin=0, end=max_iters, T_max=max_iters, by_epoch=False
    )
]
default_hooks = dict(checkpoint=dict(interval=max_iters))
