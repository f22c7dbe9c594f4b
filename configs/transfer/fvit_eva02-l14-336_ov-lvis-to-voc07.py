"""An F-ViT trained on OV-LVIS detects the classes of PASCAL VOC 2007, without training.

    python tools/test.py configs/transfer/fvit_eva02-l14-336_ov-lvis-to-voc07.py \
        work_dirs/fvit_eva02-l14-336_clipself-patches_8xb8-48e_ov-lvis/epoch_48.pth

The paper has no number for it.
Classes bear VOC's own names (`diningtable`, `tvmonitor`); AP50 is VOC's, over 11 points.
The checkpoint's mask head and learned temperature stay unused (mmengine logs `unexpected key`).
"""

_base_ = [
    '../_base_/models/fvit_eva02-l14-336_transfer.py',
    '../_base_/datasets/transfer_896_voc07.py',
    '../_base_/detection_runtime.py',
]

model = dict(roi_head=dict(bbox_head=dict(vocabulary='voc07', alpha=0.3)))
