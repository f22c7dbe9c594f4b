"""PASCAL Context-59 val at 1024 px; mmseg prepares the data."""

_base_ = './semantic_ade20k-150.py'

val_dataloader = dict(
    dataset=dict(
        type='CheckedPascalContextDataset59',
        data_root='data/VOCdevkit/VOC2010/',
        ann_file='ImageSets/SegmentationContext/val.txt',
        data_prefix=dict(img_path='JPEGImages', seg_map_path='SegmentationClassContext'),
    ),
)
test_dataloader = val_dataloader
