"""Gives the proposals of COCO train2017 the nouns of its captions (paper, section A.4).

    python tools/test.py configs/region_text/pseudo-labels_eva02-b16_coco.py
    tools/dist_test.sh configs/region_text/pseudo-labels_eva02-b16_coco.py "" 8  # on 8 GPUs

Reads coco_proposals.json (docs/data.md) and captions_train2017.json, writes
coco_pseudo_1203.json. The nouns are LVIS's 1,203 class names; the authors' file of pairs has
4,764 nouns, and region-text_*_coco.py read that one unless told otherwise (README.md). That an
image keeps its 20 best pairs is a choice made here. How often the pairs are right is not measured
yet.
"""

_base_ = '../_base_/distill_runtime.py'

model = dict(
    type='RegionPseudoLabeler',
    tower=dict(
        type='CLIPTower',
        model='EVA02-B-16',
        checkpoint='checkpoints/EVA02_CLIP_B_psz16_s8B.pt',
    ),
    nouns=dict(
        vocabulary='ov_lvis',
    ),
    data_preprocessor=dict(type='RegionPreprocessor', image_size=224),
)
test_dataloader = dict(
    batch_size=2,
    num_workers=4,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='pseudo_collate'),
    dataset=dict(
        type='CaptionedRegions',
        data_root='data/coco/',
        ann_file='annotations/coco_proposals.json',
        caption_file='annotations/captions_train2017.json',
        data_prefix=dict(img='train2017/'),
        vocabulary='ov_lvis',
        test_mode=True,
        pipeline=[
            dict(type='LoadRGB'),
            dict(
                type='AnnotatedRegions', min_size=8, max_size=1024, max_regions=100, crop_scale=1.5
            ),
            dict(type='CropRegions', size=224),
            dict(type='ResizeLongest', size=224),
            dict(type='PackRegions'),
        ],
    ),
)
test_evaluator = dict(
    type='RegionTextJsonWriter',
    out_file='data/coco/annotations/coco_pseudo_1203.json',
    max_per_img=20,
)
test_cfg = dict(type='ResumableTestLoop')
auto_scale_lr = dict(enable=False, base_batch_size=2)
