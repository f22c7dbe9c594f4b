"""Region classification on Emoji-OV val by its tiny CLIP's dense features and crops.

    python tools/make_emoji_ov.py
    python tools/train_tiny_clip.py --data emoji
    python tools/test.py configs/emoji/region-eval_tiny_emoji-ov.py

A refined tower is measured with ``--cfg-options model.tower.model=local-dir:WORK_DIR/tower``.
"""

_base_ = ['../shapes/region-eval_tiny_shapes-ov.py']

model = dict(
    tower=dict(model='local-dir:work_dirs/tiny_clip_emoji'),
    classifier=dict(vocabulary='{{ fileDirname }}/../../projects/emoji_ov/emoji_ov_panoptic.json'),
)
val_dataloader = dict(
    dataset=dict(
        data_root='data/emoji_ov/',
        vocabulary='{{ fileDirname }}/../../projects/emoji_ov/emoji_ov_panoptic.json',
    )
)
test_dataloader = val_dataloader
