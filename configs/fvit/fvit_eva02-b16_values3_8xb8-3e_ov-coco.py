"""F-ViT on EVA-02 CLIP ViT-B/16 refined on the values of its last three blocks, on OV-COCO.

    tools/dist_train.sh configs/fvit/fvit_eva02-b16_values3_8xb8-3e_ov-coco.py 8 --amp

Expected: not measured on COCO (docs/after-the-paper.md has what is published of this idea).
The tower is what configs/clipself/values3_eva02-b16_patches_1xb2-44k_coco.py leaves behind; it runs
with the last block it was refined with, which its file does not tell.
"""

_base_ = './fvit_eva02-b16_8xb8-3e_ov-coco.py'

tower = 'work_dirs/values3_eva02-b16_patches_1xb2-44k_coco/tower/open_clip_model.safetensors'
model = dict(backbone=dict(tower=dict(checkpoint=tower, last_block='values-3')))
