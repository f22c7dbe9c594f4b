"""CLIPSelf of students of 320 px, instead of 1024.

    tools/dist_train.sh \
        configs/clipself/ablations/clipself_eva02-b16_size-320_8xb2-6e_coco-boxes.py 8 --amp

Expected top-1 / top-5 of boxes: 46.5 / 70.1 (paper, Table 1c, row 2). The paper does not say at
what size it measures, but the untrained tower has one number in all its tables, so it is taken to
be 1024 px for every row: measure the exported tower with

    python tools/test.py configs/region_eval/region-eval_eva02-b16_coco-boxes.py --cfg-options \
        model.tower.checkpoint=WORK_DIR/tower/open_clip_model.safetensors

This config's own validation has 320 px.
"""

_base_ = './clipself_eva02-b16_patches_8xb2-6e_coco-boxes.py'

model = dict(data_preprocessor=dict(image_size=320))
_base_.train_dataloader.dataset.pipeline[3].size = 320
_base_.val_dataloader.dataset.pipeline[3].size = 320
test_dataloader = _base_.val_dataloader
