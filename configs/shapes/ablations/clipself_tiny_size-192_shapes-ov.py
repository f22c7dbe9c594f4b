"""CLIPSelf of the tiny CLIP, students of 192 px instead of 128: Table 1c in miniature.

    python tools/train.py configs/shapes/ablations/clipself_tiny_size-192_shapes-ov.py

Measured here, cut to 5 epochs: docs/results/table_1c.md. The table measures every row's exported
tower at 128 px (``configs/shapes/region-eval_tiny_shapes-ov.py``); this config's own validation has
192 px.
"""

_base_ = '../clipself_tiny_patches_shapes-ov.py'

model = dict(data_preprocessor=dict(image_size=192))
_base_.train_dataloader.dataset.pipeline[3].size = 192
_base_.val_dataloader.dataset.pipeline[4].size = 192
test_dataloader = _base_.val_dataloader
