"""CAT-Seg on OpenAI CLIP ViT-B/16 refined by CLIPSelf; queries and values of both towers train.

Constants of CAT-Seg's public code; classes of COCO-Stuff.
"""

tower = dict(
    type='CLIPTower',
    model='ViT-B-16-quickgelu',
    checkpoint='work_dirs/clipself_openai-b16_patches_1xb2-44k_coco/tower/'
    'open_clip_model.safetensors',
)

model = dict(
    type='CATSeg',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[122.7709383, 116.7460125, 104.09373615],  # CLIP's
        std=[68.5005327, 66.6321375, 70.32316305],
        bgr_to_rgb=True,
        size=(384, 384),
    ),
    backbone=dict(
        type='CATSegBackbone',
        tower=tower,
        out_indices=(3, 7),
        input_size=384,
        finetune='attention',
    ),
    decode_head=dict(
        type='CATSegHead',
        vocabulary='COCOStuffDataset',
        templates=['A photo of a {} in the scene'],
        finetune='attention',
        embed_dim=512,
        tower_width=768,
        channels=128,
        guidance_channels=128,
        layers=2,
        heads=4,
        window=12,
        pooling=2,
        test_pooling=1,
        padding=256,
        up_channels=(64, 32),
        up_guidance_channels=(32, 16),
        up_inner_channels=(256, 128),
        top_classes=256,
        loss_decode=dict(type='PixelBCELoss'),
    ),
    # Windows that overlap by a third, and the whole image squeezed into one.
    test_cfg=dict(
        mode='slide', crop_size=(384, 384), stride=(256, 256), with_whole=True, keep_logits=False
    ),
)
# Test images are stretched; leaves put it where their data set's pipeline resizes.
test_resize = dict(type='Resize', scale=(640, 640), keep_ratio=False)
auto_scale_lr = dict(enable=False, base_batch_size=4)
