"""Objects365 v1 val with its 365 classes for a detector that was trained elsewhere."""

_base_ = './transfer_896_coco.py'

test_dataloader = dict(
    dataset=dict(
        vocabulary='objects365v1',
        data_root='data/Objects365/Obj365_v1/',
        ann_file='annotations/objects365_val.json',
        data_prefix=dict(img='val/'),
    ),
)
test_evaluator = dict(ann_file='data/Objects365/Obj365_v1/annotations/objects365_val.json')
