"""CLIPSelf of EVA-02 CLIP ViT-B/16 with object regions and patches on COCO: 44,358 steps.

    tools/dist_test.sh configs/clipself/object-regions_eva02-b16_coco.py "" 8
    python tools/train.py configs/clipself/clipself_eva02-b16_objects_1xb2-44k_coco.py --amp

Of ten images, eight have up to 20 boxes of objects as regions and two the cells of a grid. No
label is used: object-regions_eva02-b16_coco.py found the boxes. `ImageDistillLoss` keeps the image
embedding, by two crops an image that the student encodes as images.

Expected: not measured on COCO. Optimisation, schedule and `alpha` are those of patches.
"""

_base_ = ['./clipself_eva02-b16_patches_1xb2-44k_coco.py', '../_base_/datasets/object_regions.py']

model = dict(dense_losses=[dict(type='ImageDistillLoss', crops=2)])
train_dataloader = dict(dataset=dict(ann_file='annotations/coco_objects.json'))
_base_.train_dataloader.dataset.pipeline[1].regions = _base_.object_regions
