"""CAT-Seg on OpenAI CLIP ViT-B/16 refined by CLIPSelf with image patches, on COCO-Stuff.

    tools/dist_train.sh \
        configs/segmentation/cat-seg_openai-b16_clipself_4xb1-80k_coco-stuff.py 4 --amp

Expected mIoU / mAcc on COCO-Stuff: not measured yet. What it is for are other vocabularies, see
cat-seg_openai-b16_coco-stuff-to-ade20k-150.py.
The tower is what configs/clipself/clipself_openai-b16_patches_8xb2-6e_coco.py leaves behind.
"""

_base_ = './cat-seg_openai-b16_original_4xb1-80k_coco-stuff.py'

tower = 'work_dirs/clipself_openai-b16_patches_8xb2-6e_coco/tower/open_clip_model.safetensors'
model = dict(backbone=dict(tower=dict(checkpoint=tower)))
