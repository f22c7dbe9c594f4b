"""An F-ViT trained on OV-LVIS detects the 80 classes of COCO val2017, without training.

    python tools/test.py configs/transfer/fvit_eva02-l14-336_ov-lvis-to-coco.py \
        work_dirs/fvit_eva02-l14-336_8xb8-48e_ov-lvis/epoch_48.pth

Expected box AP / AP50 / AP75: 40.5 / 63.8 / 44.3 (paper, Table 4).
None of the classes is base or novel here: one `alpha`, CLIP's share in the score, serves all. The
checkpoint's mask head and learned temperature stay unused (mmengine logs `unexpected key`).
"""

_base_ = '../fvit/fvit_eva02-l14-336_8xb8-48e_ov-lvis.py'

model = dict(
    roi_head=dict(
        bbox_head=dict(
            vocabulary='coco',
            alpha=0.2,
            clip_temperature=120.0,
            cls_predictor_cfg=dict(temperature=50.0, learn_temperature=False),
        ),
        mask_roi_extractor=None,
        mask_head=None,
    ),
)
train_dataloader = None
train_cfg = None
optim_wrapper = None
param_scheduler = None
val_dataloader = None
val_evaluator = None
val_cfg = None

image_size = (896, 896)
# `text` and `custom_entities` are what mmdet's DetInferencer(texts=...) adds; absent elsewhere.
meta_keys = (
    'img_id',
    'img_path',
    'ori_shape',
    'img_shape',
    'scale_factor',
    'flip',
    'flip_direction',
    'text',
    'custom_entities',
)
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=image_size, keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='PackDetInputs', meta_keys=meta_keys),
]
test_dataloader = dict(
    dataset=dict(
        vocabulary='coco',
        data_root='data/coco/',
        ann_file='annotations/instances_val2017.json',
        data_prefix=dict(img='val2017/'),
        pipeline=test_pipeline,
    ),
)
test_evaluator = dict(
    _delete_=True,
    type='OpenVocabCocoMetric',
    proposal_nums=(100, 300, 1000),  # AP at 100 detections an image, the rest at up to 300 kept
)

# tools/test.py --tta: the image and its mirror image.
tta_model = dict(
    type='DetTTAModel', tta_cfg=dict(nms=dict(type='nms', iou_threshold=0.5), max_per_img=300)
)
tta_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='TestTimeAug',
        transforms=[
            [dict(type='Resize', scale=image_size, keep_ratio=True)],
            [dict(type='RandomFlip', prob=0.0), dict(type='RandomFlip', prob=1.0)],
            [dict(type='LoadAnnotations', with_bbox=True)],
            [dict(type='PackDetInputs', meta_keys=meta_keys)],
        ],
    ),
]
