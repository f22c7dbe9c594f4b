"""CAT-Seg on OpenAI CLIP ViT-L/14 of 336 px, which sees its 384 px crops squeezed to 336."""

_base_ = './cat-seg_openai-b16.py'

model = dict(
    backbone=dict(
        tower=dict(
            model='ViT-L-14-336-quickgelu', checkpoint='checkpoints/openai_vit-l-14-336.safetensors'
        ),
        out_indices=(7, 15),
        input_size=336,
    ),
    decode_head=dict(embed_dim=768, tower_width=1024),
)
