"""PASCAL VOC 2007 test with its 20 classes for a detector that was trained elsewhere.

mmdet reads the development kit as it is unpacked and counts as VOC does: AP50, 11 points, difficult
objects ignored.
"""

_base_ = './transfer_896_coco.py'

test_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='VOCDataset',
        data_root='data/VOCdevkit/',
        ann_file='VOC2007/ImageSets/Main/test.txt',
        data_prefix=dict(sub_data_root='VOC2007/'),
        test_mode=True,
        pipeline=_base_.test_pipeline,
    ),
)
test_evaluator = dict(_delete_=True, type='VOCMetric', metric='mAP', eval_mode='11points')
