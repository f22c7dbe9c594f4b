"""CLIPSelf of the tiny CLIP, grids of up to 8 rows and columns: Table 1a in miniature.

    python tools/train.py configs/shapes/ablations/clipself_tiny_max-split-8_shapes-ov.py

Measured here, cut to 5 epochs: docs/results/table_1a.md.
"""

_base_ = '../clipself_tiny_patches_shapes-ov.py'

_base_.train_dataloader.dataset.pipeline[1].sampler.max_split = 8
