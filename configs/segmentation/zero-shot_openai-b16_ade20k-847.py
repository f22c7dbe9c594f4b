"""Zero-shot segmentation of ADE20K-847 val by the dense features of OpenAI CLIP ViT-B/16.

    python tools/convert_ade847.py data/ADE20K_2021_17_01/index_ade20k.pkl --classes NAMES.txt
    python tools/test.py configs/segmentation/zero-shot_openai-b16_ade20k-847.py

A refined tower is measured with ``--cfg-options model.tower.checkpoint=FILE``.
Expected mIoU / mAcc: not measured yet (the paper has trained segmentors only, Table 5).
"""

_base_ = [
    '../_base_/models/zero-shot_openai-b16.py',
    '../_base_/datasets/semantic-val_1024_ade20k-847.py',
    '../_base_/segmentation_runtime.py',
]

model = dict(decode_head=dict(vocabulary='data/ADE20K_2021_17_01/ade847.json'))
