"""CAT-Seg on OpenAI CLIP ViT-L/14-336, trained on COCO-Stuff, tested on ADE20K-150 val.

    python tools/test.py \
        configs/segmentation/cat-seg_openai-l14-336_coco-stuff-to-ade20k-150.py CHECKPOINT

The checkpoint is that of cat-seg_openai-l14-336_4xb1-80k_coco-stuff.py.
Expected mIoU / mAcc: original 31.5 / 46.2, CLIPSelf 34.5 / 54.8 (paper, Table 5, whose CAT-Seg
is an earlier version, docs/segmentation.md); not measured here yet.
"""

_base_ = [
    '../_base_/models/cat-seg_openai-l14-336.py',
    '../_base_/datasets/semantic_ade20k-150.py',
    '../_base_/segmentation_runtime.py',
]

model = dict(decode_head=dict(test_vocabulary='ADE20KDataset'))
test_pipeline = [_base_.test_pipeline[0], _base_.test_resize, *_base_.test_pipeline[2:]]
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
