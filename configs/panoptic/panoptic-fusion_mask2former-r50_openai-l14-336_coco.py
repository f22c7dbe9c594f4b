"""COCO panoptic by Mask2Former R50's masks, scores fused with OpenAI CLIP ViT-L/14-336.

    python tools/test.py \
        configs/panoptic/panoptic-fusion_mask2former-r50_openai-l14-336_coco.py

CLIP's score alone: ``--cfg-options model.test_cfg.score=clip``. A tower refined by CLIPSelf:
``model.tower.checkpoint=FILE``, as
configs/clipself/clipself_openai-l14-336_patches_8xb2-6e_coco.py leaves it behind.
Expected PQ / mAP / mIoU: not measured yet (paper, Table 6, with ODISE as the generator: CLIP
alone 27.6 / 26.2 / 23.7, with CLIPSelf 35.1 / 30.9 / 36.7; fused 45.3 / 38.1 / 52.3 and 45.7 /
38.5 / 52.3).
"""

_base_ = [
    '../_base_/models/panoptic-fusion_openai-l14-336.py',
    '../_base_/datasets/panoptic-segm-val_coco.py',
    '../_base_/panoptic_runtime.py',
]
