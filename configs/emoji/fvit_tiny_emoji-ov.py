"""F-ViT on a tiny CLIP and Emoji-OV, in the recipe of Shapes-OV.

    python tools/make_emoji_ov.py
    python tools/train_tiny_clip.py --data emoji
    python tools/train.py configs/emoji/fvit_tiny_emoji-ov.py

A distilled tower takes the original's place with ``--cfg-options
model.backbone.tower.model=local-dir:WORK_DIR/tower``. Not measured yet.
"""

_base_ = ['../shapes/fvit_tiny_shapes-ov.py']

model = dict(
    backbone=dict(tower=dict(model='local-dir:work_dirs/tiny_clip_emoji')),
    roi_head=dict(
        bbox_head=dict(
            vocabulary='{{ fileDirname }}/../../projects/emoji_ov/emoji_ov.json',
        ),
    ),
)
train_dataloader = dict(
    dataset=dict(
        data_root='data/emoji_ov/',
        vocabulary='{{ fileDirname }}/../../projects/emoji_ov/emoji_ov.json',
    )
)
val_dataloader = dict(
    dataset=dict(
        data_root='data/emoji_ov/',
        vocabulary='{{ fileDirname }}/../../projects/emoji_ov/emoji_ov.json',
    )
)
test_dataloader = val_dataloader
