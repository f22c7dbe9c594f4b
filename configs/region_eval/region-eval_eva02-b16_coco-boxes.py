"""Region classification among COCO's 80 classes by the boxes of instances_val2017, an extra.

    python tools/test.py configs/region_eval/region-eval_eva02-b16_coco-boxes.py

No number is published for it: the paper's boxes (Table 1 too) are the things of the 133-way
panoptic evaluation, region-eval_eva02-b16_coco-panoptic.py. Use it where there is no panoptic json.
"""

_base_ = './region-eval_eva02-b16_coco-panoptic.py'

model = dict(classifier=dict(vocabulary='coco'))
val_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='BoxRegions',
        data_root='data/coco/',
        ann_file='annotations/instances_val2017.json',
        data_prefix=dict(img='val2017/'),
        vocabulary='coco',
        test_mode=True,
        pipeline=[
            dict(type='LoadRGB'),
            dict(type='AnnotatedRegions'),
            dict(type='CropRegions', size=224),
            dict(type='ResizeLongest', size=1024),
            dict(type='PackRegions'),
        ],
    ),
)
test_dataloader = val_dataloader
