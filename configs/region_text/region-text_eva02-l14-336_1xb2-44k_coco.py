"""EVA-02 CLIP ViT-L/14-336 refined with region-text pairs on COCO (paper, sections 4.4 and A.4).

    python tools/train.py configs/region_text/region-text_eva02-l14-336_1xb2-44k_coco.py --amp

The paper gives this tower's detector only, AP50 novel 38.7 (Table A5), on the authors' pairs; they
were matched by ViT-B/16 for both towers. Region classification is not measured yet.
"""

_base_ = './region-text_eva02-b16_1xb2-44k_coco.py'

tower = dict(model='EVA02-L-14-336', checkpoint='checkpoints/EVA02_CLIP_L_336_psz14_s6B.pt')
student_size, crop_size, patch_size = 896, 336, 14
model = dict(
    tower=dict(**tower, activation_checkpointing=True),
    data_preprocessor=dict(image_size=student_size),
)
default_hooks = dict(weight_ensemble=dict(alpha=0.95))
_base_.train_dataloader.dataset.pipeline[2].size = student_size
_base_.val_dataloader.dataset.pipeline[3].size = crop_size
_base_.val_dataloader.dataset.pipeline[4].size = student_size
_base_.val_dataloader.dataset.pipeline[5].patch_size = patch_size
test_dataloader = _base_.val_dataloader
