"""CLIPSelf of the tiny CLIP with patches of a plain folder: Shapes-OV's pictures without its json.

    python tools/make_shapes_ov.py
    python tools/train.py configs/shapes/clipself_tiny_patches-folder_shapes-ov.py

Expected top-1 of boxes / stuff masks: not measured yet; where the folder's order is the json's,
it is ``clipself_tiny_patches_shapes-ov.py`` to the last bit.
"""

_base_ = './clipself_tiny_patches_shapes-ov.py'

train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='UnlabelledImages',
        data_root='data/shapes_ov/',
        source='train',
        pipeline=_base_.train_dataloader.dataset.pipeline,
    ),
)
