"""Regions to distil on Shapes-OV: grid patches of the folder's pictures, no json read."""

_base_ = './patches_shapes-ov.py'

_pipeline = _base_.train_dataloader.dataset.pipeline
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='UnlabelledImages',
        data_root='data/shapes_ov/',
        source='train',
        pipeline=_pipeline,
    ),
)
