"""CLIPSelf of EVA-02 CLIP ViT-B/16 with object regions and patches of any images.

    tools/dist_test.sh configs/clipself/object-regions_eva02-b16_images.py "" 8
    tools/dist_train.sh configs/clipself/clipself_eva02-b16_objects-folder_8xb2-6e_images.py 8 --amp

The first command finds the boxes in the images of data/images without any label. Images of another
folder: its option ``test_dataloader.dataset.source``, here
``train_dataloader.dataset.data_prefix.img``. Nothing is validated, since that needs labels.

Expected: not measured on COCO, nor on other images.
"""

_base_ = [
    './clipself_eva02-b16_patches-folder_8xb2-6e_images.py',
    '../_base_/datasets/object_regions.py',
]

pipeline = _base_.train_dataloader.dataset.pipeline
pipeline[1].regions = _base_.object_regions
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='ImageRegions',
        ann_file='data/image_objects.json',
        data_prefix=dict(img='data/images/'),
        on_bad_image='skip',
        pipeline=pipeline,
    ),
)
model = dict(dense_losses=[dict(type='ImageDistillLoss', crops=2)])
