"""F-ViT on OpenAI CLIP ViT-B/16 refined by CLIPSelf with image patches, on OV-COCO.

    tools/dist_train.sh configs/fvit/fvit_openai-b16_8xb8-3e_ov-coco.py 8 --amp

Expected AP50 novel / base / all: 29.8 / 46.9 / 42.5 (paper, Table A4). The settings of that table
are not published. Mean and std are CLIP's, as in the authors' only config of an OpenAI detector
(wusize/CLIM); that one also learns its background vector
(``model.roi_head.bbox_head.cls_predictor_cfg.background=learned``) and loads the tower under plain
GELU, which is not done here. README.md says more.
"""

_base_ = './fvit_eva02-b16_8xb8-3e_ov-coco.py'

tower = 'work_dirs/clipself_openai-b16_patches_1xb2-44k_coco/tower/open_clip_model.safetensors'
model = dict(
    data_preprocessor=dict(
        mean=[122.7709383, 116.7460125, 104.09373615],
        std=[68.5005327, 66.6321579, 70.32316305],
    ),
    backbone=dict(tower=dict(model='ViT-B-16-quickgelu', checkpoint=tower)),
)
