"""EVA-02 CLIP ViT-B/16 refined with region-text pairs on COCO (paper, sections 4.4 and A.4).

    python tools/train.py configs/region_text/region-text_eva02-b16_1xb2-44k_coco.py --amp

Expected top-1 of boxes / thing masks / stuff masks: 71.1 / 73.7 / 34.2 (paper, Table 7). The pairs
and their 4,764 nouns are the authors' file (docs/region-text.md, which also says how to
train with pairs of your own).
"""

_base_ = [
    '../_base_/datasets/coco_region-text.py',
    '../_base_/datasets/coco_panoptic-val.py',
    '../_base_/schedules/distill_44k.py',
]

tower = dict(model='EVA02-B-16', checkpoint='checkpoints/EVA02_CLIP_B_psz16_s8B.pt')
model = dict(
    type='RegionText',
    tower=dict(type='CLIPTower', **tower),
    nouns=dict(vocabulary='data/coco/annotations/coco_pseudo_4764.json'),
    unlocked_blocks=None,
    region_text_loss=dict(type='RegionTextLoss', num_sampled=100),
    data_preprocessor=dict(type='RegionPreprocessor', image_size=1024, non_blocking=True),
    classifier=dict(vocabulary='coco_panoptic'),
)
