"""CLIPSelf of EVA-02 CLIP ViT-L/14-336 with its weights spread over the GPUs (FSDP).

    tools/dist_train.sh configs/clipself/clipself_eva02-l14-336_patches_8xb2-6e_coco_fsdp.py 8 \
        --amp

Untested on GPUs; a tiny tower trains this way on two processors (tests/distillers). What it saves:
docs/scale.md. Expected: not measured yet.
"""

_base_ = './clipself_eva02-l14-336_patches_8xb2-6e_coco.py'

runner_type = 'FlexibleRunner'
strategy = dict(
    type='WholeStateFSDPStrategy',
    model_wrapper=dict(type='BlockwiseFSDP', sharding_strategy='FULL_SHARD'),
)
