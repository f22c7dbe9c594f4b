"""What panoptic configs share: imports, hooks, logging, seed."""

_base_ = './detection_runtime.py'

custom_imports = dict(imports=['clipself_mm', 'clipself_mm.panoptic'], allow_failed_imports=False)
default_hooks = dict(checkpoint=dict(save_best='coco_panoptic/PQ'))
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
visualizer = dict(type='DetLocalVisualizer')
