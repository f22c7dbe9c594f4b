"""Region classification by the dense features of OpenAI CLIP ViT-L/14-336, on COCO val2017.

    python tools/test.py configs/region_eval/region-eval_openai-l14-336_coco-boxes.py

A refined tower is measured with ``--cfg-options model.tower.checkpoint=FILE``.
No number is published for this combination.
"""

_base_ = ['../_base_/datasets/box-val_672-336_coco.py', '../_base_/distill_runtime.py']

model = dict(
    type='RegionRecognizer',
    tower=dict(
        type='CLIPTower',
        model='ViT-L-14-336-quickgelu',
        checkpoint='checkpoints/openai_vit-l-14-336.safetensors',
    ),
    data_preprocessor=dict(type='RegionPreprocessor', image_size=672),
    classifier=dict(
        vocabulary='coco',
        text=dict(
            model='ViT-L-14-336-quickgelu', checkpoint='checkpoints/openai_vit-l-14-336.safetensors'
        ),
    ),
)
test_cfg = dict(type='TestLoop')
val_cfg = dict(type='ValLoop')
auto_scale_lr = dict(enable=False, base_batch_size=1)
