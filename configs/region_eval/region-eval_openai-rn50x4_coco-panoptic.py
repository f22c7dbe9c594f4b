"""Region classification by the dense features of OpenAI CLIP RN50x4, on COCO val2017.

    python tools/test.py configs/region_eval/region-eval_openai-rn50x4_coco-panoptic.py

Expected: the curve in Figure A1 of the paper, which prints no number; not measured yet.
"""

_base_ = ['../_base_/datasets/panoptic-val_1024-288_coco.py', '../_base_/distill_runtime.py']

model = dict(
    type='RegionRecognizer',
    tower=dict(
        type='CLIPTower',
        model='RN50x4-quickgelu',
        checkpoint='checkpoints/openai_rn50x4.safetensors',
    ),
    data_preprocessor=dict(type='RegionPreprocessor', image_size=1024),
    classifier=dict(
        vocabulary='coco_panoptic',
        text=dict(model='RN50x4-quickgelu', checkpoint='checkpoints/openai_rn50x4.safetensors'),
    ),
)
test_cfg = dict(type='TestLoop')
val_cfg = dict(type='ValLoop')
auto_scale_lr = dict(enable=False, base_batch_size=1)
