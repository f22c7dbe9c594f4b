"""CAT-Seg on OpenAI CLIP ViT-L/14 of 336 px, which sees its 384 px crops squeezed to 336."""

_base_ = './cat-seg_openai-b16.py'

tower = dict(
    type='CLIPTower',
    model='ViT-L-14-336-quickgelu',
    checkpoint='work_dirs/clipself_openai-l14-336_patches_1xb2-44k_coco/tower/'
    'open_clip_model.safetensors',
)
model = dict(
    backbone=dict(tower=tower, out_indices=(7, 15), input_size=336),
    decode_head=dict(embed_dim=768, tower_width=1024),
)
