"""Your own data: an F-ViT trained on the boxes you have, which finds the classes you only name too.

    python tools/check_data.py configs/fvit/own_data_template.py
    python tools/train.py configs/fvit/own_data_template.py --amp --auto-scale-lr

Copy this file, with `_base_` leading to the original's folder, and change what stands below. Beside
the images it takes COCO-style json files and a vocabulary, one json of three lists:

    {"classes": ["mug", "kettle", "spoon"], "base": ["mug", "kettle"], "novel": ["spoon"]}

docs/data.md, "Your own data", says more.
"""

_base_ = './fvit_eva02-b16_8xb8-3e_ov-coco.py'

# The classes, in the order of the labels. The json files are matched by name: categories that are
# not listed are ignored, novel ones may have boxes in val.json and need none in train.json.
vocabulary = 'data/own/vocabulary.json'
data_root = 'data/own/'

# The CLIP that sees the images and reads the names. One that CLIPSelf refined, on your own images
# perhaps (configs/clipself/, which need no label), is the point of it all.
tower = 'checkpoints/EVA02_CLIP_B_psz16_s8B.pt'

model = dict(
    backbone=dict(tower=dict(checkpoint=tower)),
    roi_head=dict(bbox_head=dict(vocabulary=vocabulary)),
)
train_dataloader = dict(
    batch_size=8,
    dataset=dict(
        vocabulary=vocabulary,
        base_only=True,  # False if the vocabulary has no "base" and "novel"
        data_root=data_root,
        ann_file='train.json',
        data_prefix=dict(img='train/'),
    ),
)
val_dataloader = dict(
    dataset=dict(
        vocabulary=vocabulary,
        annotated_only=False,  # images without an object count too
        data_root=data_root,
        ann_file='val.json',
        data_prefix=dict(img='val/'),
    ),
)
test_dataloader = val_dataloader

train_cfg = dict(max_epochs=12, val_interval=1)
# 'coco/all_ap50' if the vocabulary has no "base" and "novel"
default_hooks = dict(checkpoint=dict(save_best='coco/novel_ap50'))
