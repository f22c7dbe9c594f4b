"""A detector trained on Shapes-OV's LVIS files detects its COCO vocabulary (Table 4) in miniature.

    python tools/test.py configs/shapes/transfer_tiny_shapes-ov.py \
        work_dirs/fvit_tiny_shapes-ov-lvis/epoch_4.pth

The vocabulary lists the classes in another order and splits nothing: one alpha for all of them.
"""

_base_ = './fvit_tiny_shapes-ov.py'

model = dict(
    roi_head=dict(
        bbox_head=dict(
            vocabulary='shapes_coco',
            alpha=0.3,
            clip_temperature=120.0,
            cls_predictor_cfg=dict(temperature=50.0, learn_temperature=False),
        ),
    ),
)
test_dataloader = dict(dataset=dict(vocabulary='shapes_coco'))
train_dataloader = None
train_cfg = None
optim_wrapper = None
param_scheduler = None
val_dataloader = None
val_cfg = None
val_evaluator = None
