"""F-ViT on OpenAI CLIP ViT-B/16 refined by CLIPSelf with image patches, on OV-COCO.

    tools/dist_train.sh configs/fvit/fvit_openai-b16_clipself-patches_8xb8-3e_ov-coco.py 8 --amp

Expected AP50 novel / base / all: 29.8 / 46.9 / 42.5 (paper, Table A4).
The tower is what configs/clipself/clipself_openai-b16_patches_8xb2-6e_coco.py leaves behind.
"""

_base_ = './fvit_openai-b16_original_8xb8-3e_ov-coco.py'

tower = 'work_dirs/clipself_openai-b16_patches_8xb2-6e_coco/tower/open_clip_model.safetensors'
model = dict(backbone=dict(tower=dict(checkpoint=tower)))
