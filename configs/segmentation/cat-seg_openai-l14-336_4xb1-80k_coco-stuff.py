"""CAT-Seg on OpenAI CLIP ViT-L/14-336 refined by CLIPSelf with patches, trained on COCO-Stuff.

    tools/dist_train.sh configs/segmentation/cat-seg_openai-l14-336_4xb1-80k_coco-stuff.py 4 --amp

The tower is what configs/clipself/clipself_openai-l14-336_patches_1xb2-44k_coco.py leaves behind.
On CLIP as released: ``--cfg-options
model.backbone.tower.checkpoint=checkpoints/openai_vit-l-14-336.safetensors``.
What it is for are other vocabularies, see cat-seg_openai-l14-336_coco-stuff-to-ade20k-150.py; on
COCO-Stuff itself nothing is published, nor measured yet.
"""

_base_ = [
    '../_base_/models/cat-seg_openai-l14-336.py',
    '../_base_/datasets/cat-seg_coco-stuff164k.py',
    '../_base_/cat-seg_80k.py',
]

test_pipeline = [_base_.test_pipeline[0], _base_.test_resize, *_base_.test_pipeline[2:]]
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
