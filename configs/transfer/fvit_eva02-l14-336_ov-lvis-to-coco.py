"""An F-ViT trained on OV-LVIS detects the classes of COCO val2017, without training.

    python tools/test.py configs/transfer/fvit_eva02-l14-336_ov-lvis-to-coco.py \
        work_dirs/fvit_eva02-l14-336_clipself-patches_8xb8-48e_ov-lvis/epoch_48.pth

Expected box AP / AP50 / AP75: 40.5 / 63.8 / 44.3 (paper, Table 4).
The checkpoint's mask head and learned temperature stay unused (mmengine logs `unexpected key`).
"""

_base_ = [
    '../_base_/models/fvit_eva02-l14-336_transfer.py',
    '../_base_/datasets/transfer_896_coco.py',
    '../_base_/detection_runtime.py',
]

model = dict(roi_head=dict(bbox_head=dict(vocabulary='coco', alpha=0.2)))
