"""F-ViT on EVA-02 CLIP ViT-B/16 refined by DeCLIP (arXiv 2505.04410), on OV-LVIS.

    tools/dist_train.sh configs/fvit/fvit_eva02-b16_declip_8xb8-48e_ov-lvis.py 8 --amp

Expected mask AP rare: 26.8 (published with DeCLIP, whose schedule, data and code may differ; not
measured here). Its paper sets "the temperature" to 90, here that of the CLIP scores.
The tower is what configs/clipself/declip_eva02-b16_patches_1xb2-38k_lvis.py leaves behind; it runs
with the last block it was refined with, which its file does not tell.
"""

_base_ = './fvit_eva02-b16_8xb8-48e_ov-lvis.py'

tower = 'work_dirs/declip_eva02-b16_patches_1xb2-38k_lvis/tower/open_clip_model.safetensors'
model = dict(
    backbone=dict(tower=dict(checkpoint=tower, last_block='qq')),
    roi_head=dict(bbox_head=dict(clip_temperature=90.0)),
)
