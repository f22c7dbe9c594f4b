"""CLIPSelf that trains the last 3 blocks of the tiny CLIP's 5: Table 1b in miniature.

    python tools/train.py configs/shapes/ablations/clipself_tiny_blocks-3_shapes-ov.py

Measured here, cut to 5 epochs: docs/results/table_1b.md.
"""

_base_ = '../clipself_tiny_patches_shapes-ov.py'

model = dict(unlocked_blocks=3)
