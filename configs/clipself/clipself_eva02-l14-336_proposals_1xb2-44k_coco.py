"""CLIPSelf of EVA-02 CLIP ViT-L/14-336 with region proposals on COCO: one GPU, 44,358 steps.

    python tools/train.py \
        configs/clipself/clipself_eva02-l14-336_proposals_1xb2-44k_coco.py --amp

Region accuracy is not published; an F-ViT on this tower has AP50 novel 44.3 (paper, Table A5).
It rests on the authors' file of proposals (docs/proposals.md).
"""

_base_ = './clipself_eva02-l14-336_patches_1xb2-44k_coco.py'

train_dataloader = dict(dataset=dict(ann_file='annotations/coco_proposals.json'))
_base_.train_dataloader.dataset.pipeline[1].regions = dict(
    type='ProposalRegions', min_size=8, max_size=1024, max_regions=20, crop_scale=1.5
)
