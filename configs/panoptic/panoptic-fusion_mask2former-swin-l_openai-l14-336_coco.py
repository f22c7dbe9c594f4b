"""COCO panoptic by Mask2Former Swin-L's masks, scores fused with OpenAI CLIP ViT-L/14-336.

    python tools/test.py configs/panoptic/panoptic-fusion_mask2former-swin-l_openai-l14-336_coco.py

CLIP's score alone: ``--cfg-options model.test_cfg.score=clip``. A tower refined by CLIPSelf:
``model.tower.checkpoint=FILE``, as
configs/clipself/clipself_openai-l14-336_patches_1xb2-44k_coco.py leaves it behind.
Expected PQ / mAP / mIoU: not measured yet (paper, Table 6, with ODISE as the generator: CLIP
alone 27.6 / 26.2 / 23.7, with CLIPSelf 35.1 / 30.9 / 36.7; fused 45.3 / 38.1 / 52.3 and 45.7 /
38.5 / 52.3).
"""

_base_ = './panoptic-fusion_mask2former-r50_openai-l14-336_coco.py'

name = 'mask2former_swin-l-p4-w12-384-in21k_16xb1-lsj-100e_coco-panoptic'
model = dict(
    generator=f'mmdet::mask2former/{name}.py',
    generator_checkpoint='https://download.openmmlab.com/mmdetection/v3.0/mask2former/'
    f'{name}/{name}_20220407_104949-82f8d28d.pth',
)
