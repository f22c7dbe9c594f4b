"""mmdet's Mask2Former of COCO panoptic as a generator of masks, OpenAI CLIP ViT-L/14-336 beside it.

ODISE's shares as far as known (alpha 0.4, beta 0.8); not checked against its release. The tower
sees 672 px, at which CLIPSelf refines it.
"""

released = 'https://download.openmmlab.com/mmdetection/v3.0/mask2former/'
model = dict(
    type='FusedPanopticSegmentor',
    generator='mmdet::mask2former/mask2former_r50_8xb2-lsj-50e_coco-panoptic.py',
    generator_checkpoint=released + 'mask2former_r50_8xb2-lsj-50e_coco-panoptic/'
    'mask2former_r50_8xb2-lsj-50e_coco-panoptic_20230118_125535-54df384a.pth',
    seen='CocoPanopticDataset',
    tower=dict(
        type='CLIPTower',
        model='ViT-L-14-336-quickgelu',
        checkpoint='checkpoints/openai_vit-l-14-336.safetensors',
    ),
    tower_size=672,
    vocabulary='coco_panoptic',
    test_cfg=dict(score='fused', alpha=0.4, beta=0.8, semantic_on=True),
)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
auto_scale_lr = dict(enable=False, base_batch_size=1)
