"""CLIPSelf of EVA-02 CLIP ViT-B/16 on COCO, dense maps from the values of its last three blocks.

    python tools/train.py configs/clipself/values3_eva02-b16_patches_1xb2-44k_coco.py --amp

Expected: not measured on COCO. DenseRC's sum of layers without its gate and its other loss; all
else is CLIPSelf's. A detector on this tower needs the same ``last_block``:
docs/after-the-paper.md.
"""

_base_ = './clipself_eva02-b16_patches_1xb2-44k_coco.py'

model = dict(tower=dict(last_block='values-3'))
