"""CAT-Seg on the tiny CLIP of the package: every part of the real one, narrower.

Its one stage of upsampling goes from steps of 8 px to 4 px, where the two of the real one end.
"""

_base_ = './cat-seg_openai-b16.py'

model = dict(
    data_preprocessor=dict(size=(96, 96)),
    backbone=dict(
        tower=dict(_delete_=True, type='CLIPTower', model='pkg:clipself_mm.shapes/tiny_clip'),
        out_indices=(2,),
        input_size=None,
    ),
    decode_head=dict(
        vocabulary='shapes_ov_panoptic_base',
        test_vocabulary='shapes_ov_panoptic',
        templates=None,
        embed_dim=128,
        tower_width=128,
        channels=32,
        guidance_channels=32,
        layers=1,
        heads=2,
        window=4,
        up_channels=(8,),
        up_guidance_channels=(4,),
        up_inner_channels=(32,),
    ),
    test_cfg=dict(_delete_=True, mode='whole', keep_logits=False),
)
