"""CLIPSelf of EVA-02 CLIP ViT-B/16 with image patches of any pictures: no annotation is read.

    tools/dist_train.sh configs/clipself/clipself_eva02-b16_patches-folder_8xb2-6e_images.py 8 \
        --amp --cfg-options train_dataloader.dataset.source=/path/to/pictures

``source`` is a folder or a list file (docs/scale.md). Nothing is validated, since that needs
labels: measure ``WORK_DIR/tower`` by a config of configs/region_eval.

Expected: not measured yet. The schedule is the paper's for COCO.
"""

_base_ = './clipself_eva02-b16_patches_8xb2-6e_coco.py'

pipeline = _base_.train_dataloader.dataset.pipeline
pipeline[0].exif = 'apply'  # no box says how the photo lies
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='UnlabelledImages',
        source='data/images',
        on_bad_image='skip',
        pipeline=pipeline,
    ),
)
model = dict(classifier=None)
val_dataloader = None
val_evaluator = None
val_cfg = None
test_dataloader = None
test_evaluator = None
test_cfg = None
default_hooks = dict(checkpoint=dict(save_best=None))
