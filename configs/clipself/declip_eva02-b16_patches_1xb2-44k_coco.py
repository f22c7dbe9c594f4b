"""DeCLIP (arXiv 2505.04410) of EVA-02 CLIP ViT-B/16 with image patches on COCO.

    python tools/train.py configs/clipself/declip_eva02-b16_patches_1xb2-44k_coco.py --amp

Expected: not measured yet. Losses and lambda 0.25 are its paper's, all else is CLIPSelf's; its
scripts take lambda 0.1 and 560 px. A detector on this tower needs the same ``last_block``:
docs/after-the-paper.md. DINOv2's own file of weights, of the name below, goes into
``checkpoints/``; with ``pretrained=True`` in place of ``checkpoint`` timm fetches them.
"""

_base_ = './clipself_eva02-b16_patches_1xb2-44k_coco.py'

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
