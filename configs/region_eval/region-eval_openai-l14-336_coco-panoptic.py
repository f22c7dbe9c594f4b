"""Region classification by the dense features of OpenAI CLIP ViT-L/14-336, COCO panoptic val2017.

    python tools/test.py configs/region_eval/region-eval_openai-l14-336_coco-panoptic.py

A refined tower is measured with ``--cfg-options model.tower.checkpoint=FILE``.
Expected top-1 of boxes / thing masks / stuff masks: 21.4 / 28.3 / 11.8 (paper, Table A2).
"""

_base_ = './region-eval_eva02-b16_coco-panoptic.py'

tower = dict(
    model='ViT-L-14-336-quickgelu', checkpoint='checkpoints/openai_vit-l-14-336.safetensors'
)
input_size, crop_size, patch_size = 672, 336, 14
model = dict(tower=tower, data_preprocessor=dict(image_size=input_size))
_base_.val_dataloader.dataset.pipeline[3].size = crop_size
_base_.val_dataloader.dataset.pipeline[4].size = input_size
_base_.val_dataloader.dataset.pipeline[5].patch_size = patch_size
test_dataloader = _base_.val_dataloader
