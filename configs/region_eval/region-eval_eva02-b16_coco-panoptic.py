"""Region classification by the dense features of EVA-02 CLIP ViT-B/16, COCO panoptic val2017.

    python tools/test.py configs/region_eval/region-eval_eva02-b16_coco-panoptic.py

A refined tower is measured with ``--cfg-options model.tower.checkpoint=FILE``.
Expected top-1 of boxes / thing masks / stuff masks: 18.2 / 20.6 / 18.4 (paper, Tables 1 and 2).
"""

_base_ = ['../_base_/datasets/coco_panoptic-val.py', '../_base_/distill_runtime.py']

tower = dict(model='EVA02-B-16', checkpoint='checkpoints/EVA02_CLIP_B_psz16_s8B.pt')
model = dict(
    type='RegionRecognizer',
    tower=dict(type='CLIPTower', **tower),
    data_preprocessor=dict(type='RegionPreprocessor', image_size=1024),
    classifier=dict(vocabulary='coco_panoptic'),
)
test_cfg = dict(type='TestLoop')
val_cfg = dict(type='ValLoop')
auto_scale_lr = dict(enable=False, base_batch_size=1)
