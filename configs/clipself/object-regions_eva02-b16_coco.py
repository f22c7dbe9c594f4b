"""Boxes of objects in COCO train2017, found without labels by the frozen EVA-02 CLIP ViT-B/16.

    tools/dist_test.sh configs/clipself/object-regions_eva02-b16_coco.py "" 8
    python tools/test.py configs/clipself/object-regions_eva02-b16_coco.py  # on one GPU

Writes coco_objects.json, 20 boxes an image (docs/proposals.md). They are found once, by this tower,
and serve every tower. `instances_train2017.json` gives the list of images only: no label and no
image of val2017 is read. Not measured on COCO.
"""

_base_ = '../_base_/distill_runtime.py'

model = dict(
    type='ObjectRegions',
    tower=dict(
        type='CLIPTower',
        model='EVA02-B-16',
        checkpoint='checkpoints/EVA02_CLIP_B_psz16_s8B.pt',
    ),
    data_preprocessor=dict(type='RegionPreprocessor', image_size=1024, non_blocking=True),
)
test_dataloader = dict(
    batch_size=4,
    num_workers=4,
    persistent_workers=True,
    pin_memory=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='pseudo_collate'),
    dataset=dict(
        type='ImageRegions',
        data_root='data/coco/',
        ann_file='annotations/instances_train2017.json',
        data_prefix=dict(img='train2017/'),
        test_mode=True,
        pipeline=[
            dict(type='LoadRGB'),
            dict(type='SampleRegions', regions=dict(type='GridRegions', max_split=1)),
            dict(type='ResizeLongest', size=1024),
            dict(type='PackRegions'),
        ],
    ),
)
test_evaluator = dict(
    type='ProposalJsonWriter',
    out_file='data/coco/annotations/coco_objects.json',
    max_per_img=20,
)
test_cfg = dict(type='ResumableTestLoop')
auto_scale_lr = dict(enable=False, base_batch_size=4)
