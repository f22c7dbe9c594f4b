"""F-ViT on EVA-02 CLIP ViT-B/16 refined by DeCLIP (arXiv 2505.04410), on OV-COCO.

    tools/dist_train.sh configs/fvit/fvit_eva02-b16_declip_8xb8-3e_ov-coco.py 8 --amp

Expected AP50 novel: 41.1 (published with DeCLIP, whose schedule, data and code may differ; not
measured here). Its paper sets "the temperature" to 45, here that of the CLIP scores.
The tower is what configs/clipself/declip_eva02-b16_patches_1xb2-44k_coco.py leaves behind; it runs
with the last block it was refined with, which its file does not tell.
"""

_base_ = './fvit_eva02-b16_8xb8-3e_ov-coco.py'

tower = 'work_dirs/declip_eva02-b16_patches_1xb2-44k_coco/tower/open_clip_model.safetensors'
model = dict(
    backbone=dict(tower=dict(checkpoint=tower, last_block='qq')),
    roi_head=dict(bbox_head=dict(clip_temperature=45.0)),
)
