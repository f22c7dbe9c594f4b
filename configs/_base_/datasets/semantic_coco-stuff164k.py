"""COCO-Stuff-164k val (5,000 images, 171 classes) at 1024 px; mmseg prepares the data."""

_base_ = './semantic_ade20k-150.py'

val_dataloader = dict(
    dataset=dict(
        type='CheckedCOCOStuffDataset',
        data_root='data/coco_stuff164k',
        data_prefix=dict(img_path='images/val2017', seg_map_path='annotations/val2017'),
    ),
)
test_dataloader = val_dataloader
