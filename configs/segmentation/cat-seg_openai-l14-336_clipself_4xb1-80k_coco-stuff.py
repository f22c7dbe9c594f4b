"""CAT-Seg on OpenAI CLIP ViT-L/14-336 refined by CLIPSelf with image patches, on COCO-Stuff.

    tools/dist_train.sh \
        configs/segmentation/cat-seg_openai-l14-336_clipself_4xb1-80k_coco-stuff.py 4 --amp

Expected mIoU / mAcc on COCO-Stuff: not measured yet. What it is for are other vocabularies, see
cat-seg_openai-l14-336_coco-stuff-to-ade20k-150.py.
The tower is what configs/clipself/clipself_openai-l14-336_patches_8xb2-6e_coco.py leaves behind.
"""

_base_ = './cat-seg_openai-l14-336_original_4xb1-80k_coco-stuff.py'

tower = 'work_dirs/clipself_openai-l14-336_patches_8xb2-6e_coco/tower/open_clip_model.safetensors'
model = dict(backbone=dict(tower=dict(checkpoint=tower)))
