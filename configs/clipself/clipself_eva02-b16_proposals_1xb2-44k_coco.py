"""CLIPSelf of EVA-02 CLIP ViT-B/16 with region proposals on COCO: one GPU, 44,358 steps.

    python tools/train.py \
        configs/clipself/clipself_eva02-b16_proposals_1xb2-44k_coco.py --amp

The published weights were made so (README.md). Expected top-1 of
boxes / thing masks / stuff masks: 74.0 / 76.3 / 36.8 (paper, Table 2).
It rests on the authors' file of proposals (docs/proposals.md).
"""

_base_ = './clipself_eva02-b16_patches_1xb2-44k_coco.py'

train_dataloader = dict(dataset=dict(ann_file='annotations/coco_proposals.json'))
_base_.train_dataloader.dataset.pipeline[1].regions = dict(
    type='ProposalRegions', min_size=8, max_size=1024, max_regions=20, crop_scale=1.5
)
