"""An F-ViT trained on OV-LVIS detects the 20 classes of PASCAL VOC 2007 test, without training.

    python tools/test.py configs/transfer/fvit_eva02-l14-336_ov-lvis-to-voc07.py \
        work_dirs/fvit_eva02-l14-336_8xb8-48e_ov-lvis/epoch_48.pth

The paper has no number for it. mmdet reads the development kit as it is unpacked and counts as VOC
does: 11 points, difficult objects ignored; at IoU 0.5 and 0.75, as the release.
"""

_base_ = './fvit_eva02-l14-336_ov-lvis-to-coco.py'

model = dict(roi_head=dict(bbox_head=dict(vocabulary='voc07', alpha=0.3)))
test_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='CheckedVOCDataset',
        data_root='data/VOCdevkit/',
        ann_file='VOC2007/ImageSets/Main/test.txt',
        data_prefix=dict(sub_data_root='VOC2007/'),
        test_mode=True,
        pipeline=_base_.test_pipeline,
    ),
)
test_evaluator = dict(
    _delete_=True, type='VOCMetric', metric='mAP', iou_thrs=[0.5, 0.75], eval_mode='11points'
)
