"""CLIPSelf of OpenAI CLIP ViT-B/16 with region proposals on COCO: one GPU, 44,358 steps.

    python tools/train.py \
        configs/clipself/clipself_openai-b16_proposals_1xb2-44k_coco.py --amp

No number is published for this combination.
"""

_base_ = './clipself_openai-b16_patches_1xb2-44k_coco.py'

train_dataloader = dict(dataset=dict(ann_file='annotations/coco_proposals.json'))
_base_.train_dataloader.dataset.pipeline[1].regions = dict(
    type='ProposalRegions', min_size=8, max_size=1024, max_regions=20, crop_scale=1.5
)
