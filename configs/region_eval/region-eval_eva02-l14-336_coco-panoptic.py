"""Region classification by the dense features of EVA-02 CLIP ViT-L/14-336, on COCO val2017.

    python tools/test.py configs/region_eval/region-eval_eva02-l14-336_coco-panoptic.py

A refined tower is measured with ``--cfg-options model.tower.checkpoint=FILE``.
Expected top-1 of boxes / thing masks / stuff masks: 56.7 / 59.0 / 20.8 (paper, Table A2).
"""

_base_ = ['../_base_/datasets/panoptic-val_896-336_coco.py', '../_base_/distill_runtime.py']

model = dict(
    type='RegionRecognizer',
    tower=dict(
        type='CLIPTower',
        model='EVA02-L-14-336',
        checkpoint='checkpoints/EVA02_CLIP_L_336_psz14_s6B.pt',
    ),
    data_preprocessor=dict(type='RegionPreprocessor', image_size=896),
    classifier=dict(
        vocabulary='coco_panoptic',
        text=dict(model='EVA02-L-14-336', checkpoint='checkpoints/EVA02_CLIP_L_336_psz14_s6B.pt'),
    ),
)
test_cfg = dict(type='TestLoop')
val_cfg = dict(type='ValLoop')
auto_scale_lr = dict(enable=False, base_batch_size=1)
