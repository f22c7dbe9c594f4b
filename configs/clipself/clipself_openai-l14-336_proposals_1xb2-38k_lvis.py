"""CLIPSelf of OpenAI CLIP ViT-L/14-336 with region proposals on LVIS: one GPU, 37,566 steps.

    python tools/train.py \
        configs/clipself/clipself_openai-l14-336_proposals_1xb2-38k_lvis.py --amp

Six times one of 8 GPUs' share of LVIS (6,261 steps). No number is published for it.
"""

_base_ = './clipself_openai-l14-336_proposals_1xb2-44k_coco.py'

train_dataloader = dict(
    dataset=dict(
        data_root='data/lvis_v1/',
        ann_file='annotations/lvis_v1_proposals.json',
        data_prefix=dict(img=''),
    )
)
param_scheduler = [dict(type='WarmupCosineLR', warmup=1000, end=37566)]
train_cfg = dict(max_iters=37566, val_interval=6261)
