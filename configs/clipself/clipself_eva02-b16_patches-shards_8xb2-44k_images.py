"""CLIPSelf of EVA-02 CLIP ViT-B/16 with image patches of pictures in WebDataset's tar shards.

    pip install "clipself_mm[wds]"
    python tools/make_shards.py /path/to/pictures data/image-shards
    tools/dist_train.sh configs/clipself/clipself_eva02-b16_patches-shards_8xb2-44k_images.py 8 \
        --amp

It counts iterations, as many as 6 epochs of COCO have with 8 x 2 images, so that it is resumed in
the midst of a pass. Nothing is validated, since that needs labels.

Expected: not measured yet.
"""

_base_ = [
    '../_base_/models/clipself_eva02-b16.py',
    '../_base_/datasets/patches-shards_1024-224.py',
    '../_base_/schedules/distill_6e_eva02.py',
    '../_base_/distill_runtime.py',
]

model = dict(classifier=None)
val_cfg = None
test_cfg = None
train_cfg = dict(_delete_=True, type='IterBasedTrainLoop', max_iters=44000, val_interval=44000)
param_scheduler = [dict(type='WarmupCosineLR', warmup=1000, end=44000)]
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=2000, save_best=None))
log_processor = dict(by_epoch=False)
