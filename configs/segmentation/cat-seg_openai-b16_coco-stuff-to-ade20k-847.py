"""CAT-Seg on OpenAI CLIP ViT-B/16, trained on COCO-Stuff, tested on ADE20K-847 val.

    python tools/convert_ade847.py data/ADE20K_2021_17_01/index_ade20k.pkl --classes NAMES.txt
    python tools/test.py \
        configs/segmentation/cat-seg_openai-b16_coco-stuff-to-ade20k-847.py CHECKPOINT

The checkpoint is that of cat-seg_openai-b16_4xb1-80k_coco-stuff.py.
Expected mIoU / mAcc: original 8.4 / 16.6, CLIPSelf 9.3 / 20.1 (paper, Table 5, whose CAT-Seg
is an earlier version, docs/segmentation.md); not measured here yet.
"""

_base_ = [
    '../_base_/models/cat-seg_openai-b16.py',
    '../_base_/datasets/semantic_ade20k-847.py',
    '../_base_/segmentation_runtime.py',
]

model = dict(decode_head=dict(test_vocabulary='data/ADE20K_2021_17_01/ade847.json'))
test_pipeline = [_base_.test_pipeline[0], _base_.test_resize, *_base_.test_pipeline[2:]]
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
