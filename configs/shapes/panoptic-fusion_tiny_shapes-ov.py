"""Panoptic segmentation of Shapes-OV by fused scores: Table 6 in miniature.

    python tools/train.py configs/shapes/mask2former_tiny_shapes-ov.py
    python tools/test.py configs/shapes/panoptic-fusion_tiny_shapes-ov.py

By CLIP's score alone, the first rows of Table 6, with ``--cfg-options model.test_cfg.score=clip``;
``pred`` for the generator's. A refined tower classifies with ``--cfg-options
model.tower.model=local-dir:WORK_DIR/tower``; the generator keeps the original one.

Expected PQ / mask AP / mIoU (measured here, seed 0): by CLIP 0.5 / 0.1 / 0.6, refined by patches
16.5 / 7.4 / 15.4; the generator's score alone 32.6 / 22.6 / 31.6; fused 25.3 / 16.6 / 24.8 with
patches (docs/panoptic.md).
"""

_base_ = './mask2former_tiny_shapes-ov.py'

model = dict(
    _delete_=True,
    type='FusedPanopticSegmentor',
    generator=_base_.model,
    generator_checkpoint='work_dirs/mask2former_tiny_shapes-ov/iter_1600.pth',
    tower=dict(type='CLIPTower', model='pkg:clipself_mm.shapes/tiny_clip'),
    vocabulary='shapes_ov_panoptic',
    tower_size=128,
    test_cfg=dict(score='fused', alpha=0.35, beta=0.65, semantic_on=True),
)
val_evaluator = [*_base_.val_evaluator, dict(type='SemSegMetric', iou_metrics=['mIoU'])]
test_evaluator = val_evaluator
# It only predicts.
train_dataloader = None
train_cfg = None
optim_wrapper = None
param_scheduler = None
auto_scale_lr = dict(enable=False, base_batch_size=1)
