"""An F-ViT trained on OV-LVIS detects the classes of Objects365 v1, without training.

    python tools/test.py configs/transfer/fvit_eva02-l14-336_ov-lvis-to-objects365v1.py \
        work_dirs/fvit_eva02-l14-336_clipself-patches_8xb8-48e_ov-lvis/epoch_48.pth

Expected box AP / AP50 / AP75: 19.5 / 31.3 / 20.7 (paper, Table 4).
The checkpoint's mask head and learned temperature stay unused (mmengine logs `unexpected key`).
"""

_base_ = [
    '../_base_/models/fvit_eva02-l14-336_transfer.py',
    '../_base_/datasets/transfer_896_objects365v1.py',
    '../_base_/detection_runtime.py',
]

model = dict(roi_head=dict(bbox_head=dict(vocabulary='objects365v1', alpha=0.3)))
