"""CAT-Seg on OpenAI CLIP ViT-B/16, trained on COCO-Stuff, tested on PASCAL Context-59 val.

    python tools/test.py \
        configs/segmentation/cat-seg_openai-b16_coco-stuff-to-pascal-context-59.py CHECKPOINT

The checkpoint is that of cat-seg_openai-b16_4xb1-80k_coco-stuff.py.
Expected mIoU / mAcc: original 57.5 / 74.0, CLIPSelf 58.0 / 75.3 (paper, Table 5, whose CAT-Seg
is an earlier version, docs/segmentation.md); not measured here yet.
"""

_base_ = [
    '../_base_/models/cat-seg_openai-b16.py',
    '../_base_/datasets/semantic_pascal-context-59.py',
    '../_base_/segmentation_runtime.py',
]

model = dict(decode_head=dict(test_vocabulary='PascalContextDataset59'))
test_pipeline = [_base_.test_pipeline[0], _base_.test_resize, *_base_.test_pipeline[2:]]
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
