"""EVA-02 CLIP ViT-B/16 as a segmentor; a config adds the head's vocabulary."""

model = dict(
    type='ZeroShotSegmentor',
    tower=dict(
        type='CLIPTower',
        model='EVA02-B-16',
        checkpoint='checkpoints/EVA02_CLIP_B_psz16_s8B.pt',
    ),
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[122.7709383, 116.7460125, 104.09373615],  # CLIP's
        std=[68.5005327, 66.6321375, 70.32316305],
        bgr_to_rgb=True,
    ),
    decode_head=dict(type='DenseTextHead', vocabulary=None, temperature=100.0),
    test_cfg=dict(mode='whole', keep_logits=False),
)
auto_scale_lr = dict(enable=False, base_batch_size=1)
