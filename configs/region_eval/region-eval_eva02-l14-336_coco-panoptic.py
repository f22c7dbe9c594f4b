"""Region classification by the dense features of EVA-02 CLIP ViT-L/14-336, COCO panoptic val2017.

    python tools/test.py configs/region_eval/region-eval_eva02-l14-336_coco-panoptic.py

A refined tower is measured with ``--cfg-options model.tower.checkpoint=FILE``.
Expected top-1 of boxes / thing masks / stuff masks: 56.7 / 59.0 / 20.8 (paper, Table A2).
"""

_base_ = './region-eval_eva02-b16_coco-panoptic.py'

tower = dict(model='EVA02-L-14-336', checkpoint='checkpoints/EVA02_CLIP_L_336_psz14_s6B.pt')
input_size, crop_size, patch_size = 896, 336, 14
model = dict(tower=tower, data_preprocessor=dict(image_size=input_size))
_base_.val_dataloader.dataset.pipeline[3].size = crop_size
_base_.val_dataloader.dataset.pipeline[4].size = input_size
_base_.val_dataloader.dataset.pipeline[5].patch_size = patch_size
test_dataloader = _base_.val_dataloader
