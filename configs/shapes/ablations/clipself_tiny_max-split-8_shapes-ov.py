"""CLIPSelf of the tiny CLIP, grids of up to 8 rows and columns: Table 1a in miniature.

    python tools/train.py configs/shapes/ablations/clipself_tiny_max-split-8_shapes-ov.py

Not measured yet.
"""

_base_ = '../clipself_tiny_patches_shapes-ov.py'

_base_.train_dataloader.dataset.pipeline[1].sampler.max_split = 8
