"""DeCLIP (arXiv 2505.04410) of the tiny CLIP on Shapes-OV with image patches, to see it run.

    python tools/make_shapes_ov.py
    python tools/train.py configs/shapes/clipself_tiny_declip_shapes-ov.py

Measured here, cut to 5 epochs: docs/results/table_after.md. In DINOv2's place stands a small
ViT with **random** weights from a fixed seed, so that nothing is downloaded: the run shows that
every part works, its numbers say nothing about what DeCLIP reaches. A detector on the tower needs
``model.backbone.tower.last_block=qq``.
"""

_base_ = './clipself_tiny_patches_shapes-ov.py'

model = dict(
    tower=dict(last_block='qq'),
    dense_losses=[
        dict(
            type='ContextDistillLoss',
            loss_weight=0.25,
            foundation=dict(
                type='FoundationModel',
                model='vit_tiny_patch16_224',
                seed=0,
                options=dict(embed_dim=64, depth=2, num_heads=2),
            ),
        )
    ],
)
