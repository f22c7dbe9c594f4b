"""Zero-shot segmentation of COCO-Stuff-164k val by the dense features of OpenAI CLIP ViT-B/16.

    python tools/test.py configs/segmentation/zero-shot_openai-b16_coco-stuff164k.py

A refined tower is measured with ``--cfg-options model.tower.checkpoint=FILE``.
Expected mIoU / mAcc: not measured yet (the paper has trained segmentors only, Table 5).
"""

_base_ = [
    '../_base_/models/zero-shot_openai-b16.py',
    '../_base_/datasets/semantic-val_1024_coco-stuff164k.py',
    '../_base_/segmentation_runtime.py',
]

model = dict(decode_head=dict(vocabulary='COCOStuffDataset'))
