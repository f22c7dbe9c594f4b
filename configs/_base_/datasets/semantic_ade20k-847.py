"""ADE20K-847 val at 1024 px, labels and names written by tools/convert_ade847.py."""

_base_ = './semantic_ade20k-150.py'

test_pipeline = [
    *_base_.test_pipeline[:2],
    dict(type='LoadUint16Labels', num_classes=847),
    _base_.test_pipeline[3],
]
val_dataloader = dict(
    dataset=dict(
        type='ADE847Dataset',
        data_root='data/ADE20K_2021_17_01',
        data_prefix=dict(
            img_path='images/ADE/validation', seg_map_path='annotations_847/validation'
        ),
        classes_file='data/ADE20K_2021_17_01/ade847.json',
        pipeline=test_pipeline,
    ),
)
val_evaluator = dict(ignore_index=65535)
test_dataloader = val_dataloader
test_evaluator = val_evaluator
