"""COCO panoptic by Mask2Former R50's masks, scores fused with OpenAI CLIP ViT-L/14-336.

    python tools/test.py configs/panoptic/panoptic-fusion_mask2former-r50_openai-l14-336_coco.py

CLIP's score alone: ``--cfg-options model.test_cfg.score=clip``. A tower refined by CLIPSelf:
``model.tower.checkpoint=FILE``, as
configs/clipself/clipself_openai-l14-336_patches_1xb2-44k_coco.py leaves it behind.
Expected PQ / mAP / mIoU: not measured yet (paper, Table 6, with ODISE as the generator: CLIP
alone 27.6 / 26.2 / 23.7, with CLIPSelf 35.1 / 30.9 / 36.7; fused 45.3 / 38.1 / 52.3 and 45.7 /
38.5 / 52.3).
"""

_base_ = '../_base_/panoptic_runtime.py'

released = 'https://download.openmmlab.com/mmdetection/v3.0/mask2former/'
model = dict(
    type='FusedPanopticSegmentor',
    generator='mmdet::mask2former/mask2former_r50_8xb2-lsj-50e_coco-panoptic.py',
    generator_checkpoint=released + 'mask2former_r50_8xb2-lsj-50e_coco-panoptic/'
    'mask2former_r50_8xb2-lsj-50e_coco-panoptic_20230118_125535-54df384a.pth',
    seen='CocoPanopticDataset',
    tower=dict(
        type='CLIPTower',
        model='ViT-L-14-336-quickgelu',
        checkpoint='checkpoints/openai_vit-l-14-336.safetensors',
    ),
    tower_size=672,  # at which CLIPSelf refines it
    vocabulary='coco_panoptic',
    # ODISE's shares of its caption model; those of its label model are 0.3 and 0.7.
    test_cfg=dict(score='fused', alpha=0.35, beta=0.65, semantic_on=True),
)
auto_scale_lr = dict(enable=False, base_batch_size=1)

data_root = 'data/coco/'
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(1333, 800), keep_ratio=True),
    dict(type='LoadPanopticAnnotations'),  # behind Resize: compared at the original size
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'),
    ),
]
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='OpenVocabPanopticDataset',
        data_root=data_root,
        ann_file='annotations/panoptic_val2017.json',
        data_prefix=dict(img='val2017/', seg='annotations/panoptic_val2017/'),
        vocabulary='coco_panoptic',
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
val_evaluator = [
    dict(
        type='OpenVocabPanopticMetric',
        ann_file=data_root + 'annotations/panoptic_val2017.json',
        seg_prefix=data_root + 'annotations/panoptic_val2017/',
    ),
    dict(type='ThingMaskMetric', ann_file=data_root + 'annotations/instances_val2017.json'),
    dict(type='SemSegMetric', iou_metrics=['mIoU']),
]
test_dataloader = val_dataloader
test_evaluator = val_evaluator
