"""Region classification by the dense features of OpenAI CLIP RN50x64, COCO panoptic val2017.

    python tools/test.py configs/region_eval/region-eval_openai-rn50x64_coco-panoptic.py

Expected: the curve in Figure A1 of the paper, which prints no number; not measured yet.
"""

_base_ = './region-eval_eva02-b16_coco-panoptic.py'

tower = dict(model='RN50x64-quickgelu', checkpoint='checkpoints/openai_rn50x64.safetensors')
input_size, crop_size, patch_size = 1024, 448, 32
model = dict(tower=tower, data_preprocessor=dict(image_size=input_size))
_base_.val_dataloader.dataset.pipeline[3].size = crop_size
_base_.val_dataloader.dataset.pipeline[4].size = input_size
_base_.val_dataloader.dataset.pipeline[5].patch_size = patch_size
test_dataloader = _base_.val_dataloader
