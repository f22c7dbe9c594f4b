"""CLIPSelf of EVA-02 CLIP ViT-B/16 with image patches of any pictures: no annotation is read.

    tools/dist_train.sh configs/clipself/clipself_eva02-b16_patches-folder_8xb2-6e_images.py 8 \
        --amp --cfg-options train_dataloader.dataset.source=/path/to/pictures

``source`` is a folder or a list file (docs/scale.md). Nothing is validated, since that needs
labels: measure ``WORK_DIR/tower`` by a config of configs/region_eval.

Expected: not measured yet. The schedule is the paper's for COCO.
"""

_base_ = [
    '../_base_/models/clipself_eva02-b16.py',
    '../_base_/datasets/patches-folder_1024-224.py',
    '../_base_/schedules/distill_6e_eva02.py',
    '../_base_/distill_runtime.py',
]

model = dict(classifier=None)
val_cfg = None
test_cfg = None
default_hooks = dict(checkpoint=dict(save_best=None))
