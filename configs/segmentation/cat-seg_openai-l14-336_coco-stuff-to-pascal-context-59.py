"""CAT-Seg on OpenAI CLIP ViT-L/14-336, trained on COCO-Stuff, tested on PASCAL Context-59 val.

    python tools/test.py \
        configs/segmentation/cat-seg_openai-l14-336_coco-stuff-to-pascal-context-59.py CHECKPOINT

The checkpoint is that of cat-seg_openai-l14-336_original_4xb1-80k_coco-stuff.py
or of its twin with a tower refined by CLIPSelf.

Expected mIoU / mAcc: original 62.0 / 78.3, CLIPSelf 62.3 / 80.7 (paper, Table 5, whose CAT-Seg
is an earlier version, docs/segmentation.md); not measured here yet.
"""

_base_ = [
    '../_base_/models/cat-seg_openai-l14-336.py',
    '../_base_/datasets/cat-seg-val_pascal-context-59.py',
    '../_base_/cat-seg_runtime.py',
]
model = dict(decode_head=dict(test_vocabulary='PascalContextDataset59'))
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
auto_scale_lr = dict(enable=False, base_batch_size=4)
