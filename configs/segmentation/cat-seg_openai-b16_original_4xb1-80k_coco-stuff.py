"""CAT-Seg on OpenAI CLIP ViT-B/16 as released, trained on COCO-Stuff (171 classes).

    tools/dist_train.sh \
        configs/segmentation/cat-seg_openai-b16_original_4xb1-80k_coco-stuff.py 4 --amp

Expected mIoU / mAcc on COCO-Stuff: not measured yet. What it is for are other vocabularies, see
cat-seg_openai-b16_coco-stuff-to-ade20k-150.py.
"""

_base_ = [
    '../_base_/models/cat-seg_openai-b16.py',
    '../_base_/datasets/cat-seg_coco-stuff164k.py',
    '../_base_/schedules/cat-seg_80k.py',
    '../_base_/cat-seg_runtime.py',
]
