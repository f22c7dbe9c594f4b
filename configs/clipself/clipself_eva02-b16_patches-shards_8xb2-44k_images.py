"""CLIPSelf of EVA-02 CLIP ViT-B/16 with image patches of pictures in WebDataset's tar shards.

    pip install "clipself_mm[wds]"
    python tools/make_shards.py /path/to/pictures data/image-shards
    tools/dist_train.sh configs/clipself/clipself_eva02-b16_patches-shards_8xb2-44k_images.py 8 \
        --amp

It counts iterations, as many as 6 epochs of COCO have with 8 x 2 images, so that it is resumed in
the midst of a pass. Nothing is validated, since that needs labels.

Expected: not measured yet.
"""

_base_ = './clipself_eva02-b16_patches-folder_8xb2-6e_images.py'

train_dataloader = dict(
    # `batch_size` is the dataloader's, `lanes` a multiple of `num_workers`.
    sampler=dict(_delete_=True, type='InfiniteShardSampler', batch_size=2, lanes=4),
    dataset=dict(type='ShardedImages', source='data/image-shards/index.json', window=256),
)
train_cfg = dict(_delete_=True, type='IterBasedTrainLoop', max_iters=44358, val_interval=44358)
param_scheduler = [dict(type='WarmupCosineLR', warmup=1000, end=44358)]
default_hooks = dict(
    logger=dict(log_metric_by_epoch=False), checkpoint=dict(by_epoch=False, interval=2000)
)
log_processor = dict(by_epoch=False)
