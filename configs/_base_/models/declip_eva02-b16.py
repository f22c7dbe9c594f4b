"""DeCLIP (arXiv 2505.04410) on EVA-02 CLIP ViT-B/16, with DINOv2 ViT-B/14 as foundation model.

DINOv2's own file of weights, of the name below, goes into ``checkpoints/``; with
``pretrained=True`` in place of ``checkpoint`` timm fetches them.
"""

_base_ = './clipself_eva02-b16.py'

model = dict(
    tower=dict(last_block='qq'),
    dense_losses=[
        dict(
            type='ContextDistillLoss',
            loss_weight=0.25,
            foundation=dict(
                type='FoundationModel',
                model='vit_base_patch14_dinov2.lvd142m',
                checkpoint='checkpoints/dinov2_vitb14_pretrain.pth',
            ),
        )
    ],
)
