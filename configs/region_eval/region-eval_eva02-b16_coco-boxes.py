"""Region classification by the dense features of EVA-02 CLIP ViT-B/16, on COCO val2017.

    python tools/test.py configs/region_eval/region-eval_eva02-b16_coco-boxes.py

A refined tower is measured with ``--cfg-options model.tower.checkpoint=FILE``.
Expected top-1 of boxes: 18.2 (paper, Table 1).
"""

_base_ = ['../_base_/datasets/box-val_1024-224_coco.py', '../_base_/distill_runtime.py']

model = dict(
    type='RegionRecognizer',
    tower=dict(
        type='CLIPTower',
        model='EVA02-B-16',
        checkpoint='checkpoints/EVA02_CLIP_B_psz16_s8B.pt',
    ),
    data_preprocessor=dict(type='RegionPreprocessor', image_size=1024),
    classifier=dict(
        vocabulary='coco',
        text=dict(model='EVA02-B-16', checkpoint='checkpoints/EVA02_CLIP_B_psz16_s8B.pt'),
    ),
)
test_cfg = dict(type='TestLoop')
val_cfg = dict(type='ValLoop')
auto_scale_lr = dict(enable=False, base_batch_size=1)
