"""CAT-Seg on OpenAI CLIP ViT-B/16, trained on COCO-Stuff, tested on ADE20K-150 val.

    python tools/test.py \
        configs/segmentation/cat-seg_openai-b16_coco-stuff-to-ade20k-150.py CHECKPOINT

The checkpoint is that of cat-seg_openai-b16_original_4xb1-80k_coco-stuff.py
or of its twin with a tower refined by CLIPSelf.

Expected mIoU / mAcc: original 27.2 / 41.2, CLIPSelf 29.0 / 46.0 (paper, Table 5, whose CAT-Seg
is an earlier version, docs/segmentation.md); not measured here yet.
"""

_base_ = [
    '../_base_/models/cat-seg_openai-b16.py',
    '../_base_/datasets/cat-seg-val_ade20k-150.py',
    '../_base_/cat-seg_runtime.py',
]
model = dict(decode_head=dict(test_vocabulary='ADE20KDataset'))
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
auto_scale_lr = dict(enable=False, base_batch_size=4)
