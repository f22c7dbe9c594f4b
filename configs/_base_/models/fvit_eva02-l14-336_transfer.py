"""An OV-LVIS detector on EVA-02 CLIP ViT-L/14-336 for boxes of another data set (paper, Table 4).

A config adds the vocabulary and `alpha`, CLIP's share in the score of every class: none is base or
novel here. The detector's temperature is not the learned one.
"""

_base_ = './fvit_eva02-l14-336_ov-lvis.py'

tower = 'work_dirs/clipself_eva02-l14-336_patches_8xb2-6e_lvis/tower/open_clip_model.safetensors'
model = dict(
    backbone=dict(tower=dict(checkpoint=tower)),
    roi_head=dict(
        bbox_head=dict(
            clip_temperature=120.0,
            cls_predictor_cfg=dict(temperature=50.0, learn_temperature=False),
        ),
        mask_roi_extractor=None,
        mask_head=None,
    ),
)
test_cfg = dict(type='TestLoop')
auto_scale_lr = dict(enable=False, base_batch_size=64)
