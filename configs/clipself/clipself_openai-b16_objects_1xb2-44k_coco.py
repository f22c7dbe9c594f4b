"""CLIPSelf of OpenAI CLIP ViT-B/16 with object regions and patches on COCO: 44,358 steps.

    tools/dist_test.sh configs/clipself/object-regions_eva02-b16_coco.py "" 8
    python tools/train.py configs/clipself/clipself_openai-b16_objects_1xb2-44k_coco.py --amp

As clipself_eva02-b16_objects_1xb2-44k_coco.py, with the same boxes: they are found once, by EVA-02
ViT-B/16, and serve every tower.

Expected: not measured on COCO. Optimisation, schedule and `alpha` are those of patches.
"""

_base_ = ['./clipself_openai-b16_patches_1xb2-44k_coco.py', '../_base_/datasets/object_regions.py']

model = dict(dense_losses=[dict(type='ImageDistillLoss', crops=2)])
train_dataloader = dict(dataset=dict(ann_file='annotations/coco_objects.json'))
_base_.train_dataloader.dataset.pipeline[1].regions = _base_.object_regions
