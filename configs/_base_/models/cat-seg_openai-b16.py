"""CAT-Seg on OpenAI CLIP ViT-B/16 whose attention trains; classes of COCO-Stuff."""

model = dict(
    type='CATSeg',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[122.7709383, 116.7460125, 104.09373615],  # CLIP's
        std=[68.5005327, 66.6321375, 70.32316305],
        bgr_to_rgb=True,
        size=(384, 384),
        pad_val=0,
        seg_pad_val=255,
    ),
    backbone=dict(
        type='CATSegBackbone',
        tower=dict(
            type='CLIPTower',
            model='ViT-B-16-quickgelu',
            checkpoint='checkpoints/openai_vit-b-16.safetensors',
        ),
        out_indices=(3, 7),
        input_size=384,
        finetune='attention',
    ),
    decode_head=dict(
        type='CATSegHead',
        vocabulary='COCOStuffDataset',
        templates='vild',
        embed_dim=512,
        tower_width=768,
        channels=128,
        guidance_channels=128,
        layers=2,
        heads=4,
        window=12,
        pooling=2,
        up_channels=(64, 32),
        up_guidance_channels=(32, 16),
        up_inner_channels=(256, 128),
        top_classes=256,
    ),
    # Windows that overlap by a third, and the whole image squeezed into one.
    test_cfg=dict(
        mode='slide', crop_size=(384, 384), stride=(256, 256), with_whole=True, keep_logits=False
    ),
)
