"""The miniature Mask2Former as a generator of masks, the tiny CLIP beside it."""

_base_ = './mask2former_tiny.py'

generator = _base_.model
model = dict(
    _delete_=True,
    type='FusedPanopticSegmentor',
    generator=generator,
    generator_checkpoint='work_dirs/mask2former_tiny_shapes-ov/iter_1600.pth',
    tower=dict(type='CLIPTower', model='pkg:clipself_mm.shapes/tiny_clip'),
    vocabulary='shapes_ov_panoptic',
    tower_size=128,
    test_cfg=dict(score='fused', alpha=0.4, beta=0.8, semantic_on=True),
)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
auto_scale_lr = dict(enable=False, base_batch_size=1)
