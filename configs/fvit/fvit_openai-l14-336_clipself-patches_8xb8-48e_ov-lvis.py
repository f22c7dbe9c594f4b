"""F-ViT on OpenAI CLIP ViT-L/14-336 refined by CLIPSelf with image patches, on OV-LVIS.

    tools/dist_train.sh \
        configs/fvit/fvit_openai-l14-336_clipself-patches_8xb8-48e_ov-lvis.py 8 --amp

Expected mask AP rare / common / frequent / all: 24.4 / 21.1 / 27.5 / 24.2 (paper, Table A4).
The tower is what configs/clipself/clipself_openai-l14-336_patches_8xb2-6e_lvis.py leaves behind.
"""

_base_ = './fvit_openai-l14-336_original_8xb8-48e_ov-lvis.py'

tower = 'work_dirs/clipself_openai-l14-336_patches_8xb2-6e_lvis/tower/open_clip_model.safetensors'
model = dict(backbone=dict(tower=dict(checkpoint=tower)))
