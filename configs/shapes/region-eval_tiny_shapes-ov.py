"""Region classification on Shapes-OV val by the tiny CLIP's dense features and crops.

    python tools/make_shapes_ov.py
    python tools/test.py configs/shapes/region-eval_tiny_shapes-ov.py

A refined tower is measured with ``--cfg-options model.tower.model=local-dir:WORK_DIR/tower``.
"""

_base_ = ['../_base_/datasets/shapes-ov_panoptic-val.py', '../_base_/distill_runtime.py']

model = dict(
    type='RegionRecognizer',
    tower=dict(type='CLIPTower', model='pkg:clipself_mm.shapes/tiny_clip'),
    data_preprocessor=dict(type='RegionPreprocessor', image_size=128),
    classifier=dict(
        vocabulary='shapes_ov_panoptic',
    ),
)
test_cfg = dict(type='TestLoop')
val_cfg = dict(type='ValLoop')
auto_scale_lr = dict(enable=False, base_batch_size=4)
