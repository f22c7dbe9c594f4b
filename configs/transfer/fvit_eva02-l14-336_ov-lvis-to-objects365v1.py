"""An F-ViT trained on OV-LVIS detects the 365 classes of Objects365 v1 val, without training.

    python tools/test.py configs/transfer/fvit_eva02-l14-336_ov-lvis-to-objects365v1.py \
        work_dirs/fvit_eva02-l14-336_8xb8-48e_ov-lvis/epoch_48.pth

Expected box AP / AP50 / AP75: 19.5 / 31.3 / 20.7 (paper, Table 4).
"""

_base_ = './fvit_eva02-l14-336_ov-lvis-to-coco.py'

model = dict(roi_head=dict(bbox_head=dict(vocabulary='objects365v1', alpha=0.3)))
test_dataloader = dict(
    dataset=dict(
        vocabulary='objects365v1',
        data_root='data/Objects365/Obj365_v1/',
        ann_file='annotations/objects365_val.json',
        data_prefix=dict(img='val/'),
    ),
)
