"""Zero-shot segmentation of ADE20K-150 val by the dense features of EVA-02 CLIP ViT-B/16.

    python tools/test.py configs/segmentation/zero-shot_eva02-b16_ade20k-150.py

A refined tower is measured with ``--cfg-options model.tower.checkpoint=FILE``, OpenAI's ViT-B/16
by ``model.tower.model=ViT-B-16-quickgelu`` beside its file (README.md).
Expected mIoU / mAcc: not measured yet (the paper has trained segmentors only, Table 5).
"""

_base_ = [
    '../_base_/models/zero-shot_eva02-b16.py',
    '../_base_/datasets/semantic_ade20k-150.py',
    '../_base_/segmentation_runtime.py',
]

model = dict(decode_head=dict(vocabulary='ADE20KDataset'))
