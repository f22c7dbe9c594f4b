"""F-ViT on OpenAI CLIP ViT-L/14-336 refined by CLIPSelf with image patches, on OV-LVIS at 672 px.

    tools/dist_train.sh configs/fvit/fvit_openai-l14-336_8xb8-48e_ov-lvis.py 8 --amp

Expected mask AP rare / common / frequent / all: 24.4 / 21.1 / 27.5 / 24.2 (paper, Table A4). The
settings of that table are not published (fvit_openai-b16_8xb8-48e_ov-lvis.py).
"""

_base_ = './fvit_eva02-l14-336_8xb8-48e_ov-lvis.py'

tower = 'work_dirs/clipself_openai-l14-336_patches_1xb2-38k_lvis/tower/open_clip_model.safetensors'
image_size = (672, 672)
model = dict(
    data_preprocessor=dict(
        mean=[122.7709383, 116.7460125, 104.09373615],
        std=[68.5005327, 66.6321579, 70.32316305],
    ),
    backbone=dict(tower=dict(model='ViT-L-14-336-quickgelu', checkpoint=tower)),
)
train_pipeline, test_pipeline = _base_.train_pipeline, _base_.test_pipeline
train_pipeline[2].scale = train_pipeline[3].crop_size = test_pipeline[1].scale = image_size
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
