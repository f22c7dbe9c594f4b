"""CLIPSelf of a tiny CLIP on Emoji-OV with image patches, in the recipe of Shapes-OV.

    python tools/make_emoji_ov.py
    python tools/train_tiny_clip.py --data emoji
    python tools/train.py configs/emoji/clipself_tiny_patches_emoji-ov.py

Measured results: projects/emoji_ov/README.md.
"""

_base_ = ['../shapes/clipself_tiny_patches_shapes-ov.py']

model = dict(
    tower=dict(model='local-dir:work_dirs/tiny_clip_emoji'),
    classifier=dict(vocabulary='{{ fileDirname }}/../../projects/emoji_ov/emoji_ov_panoptic.json'),
)
train_dataloader = dict(dataset=dict(data_root='data/emoji_ov/'))
val_dataloader = dict(
    dataset=dict(
        data_root='data/emoji_ov/',
        vocabulary='{{ fileDirname }}/../../projects/emoji_ov/emoji_ov_panoptic.json',
    )
)
test_dataloader = val_dataloader
