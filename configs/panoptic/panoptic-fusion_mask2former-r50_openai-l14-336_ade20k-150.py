"""ADE20K panoptic by COCO's Mask2Former R50, fused with OpenAI CLIP ViT-L/14-336.

    python tools/test.py \
        configs/panoptic/panoptic-fusion_mask2former-r50_openai-l14-336_ade20k-150.py

CLIP's score alone: ``--cfg-options model.test_cfg.score=clip``. A tower refined by CLIPSelf:
``model.tower.checkpoint=FILE``, as
configs/clipself/clipself_openai-l14-336_patches_1xb2-44k_coco.py leaves it behind.
Expected PQ / mAP / mIoU: not measured yet (paper, Table 6, with ODISE as the generator: CLIP
alone 15.3 / 9.8 / 17.3, with CLIPSelf 19.5 / 10.6 / 24.5; fused 22.9 / 13.4 / 28.5 and 23.7 /
13.6 / 30.1).
"""

_base_ = './panoptic-fusion_mask2former-r50_openai-l14-336_coco.py'

data_root = 'data/ADEChallengeData2016/'
# Which classes of COCO are each of ADE20K's (our reading of the names); equal names match anyway.
animals = ['bird', 'cat', 'dog', 'horse', 'sheep', 'cow', 'elephant', 'bear', 'zebra', 'giraffe']
walls = ['wall-brick', 'wall-stone', 'wall-tile', 'wall-wood', 'wall-other-merged']
matches = {
    'animal': animals,
    'ball': ['sports ball'],
    'blanket, cover': ['blanket'],
    'blind, screen': ['window-blind'],
    'bridge, span': ['bridge'],
    'building': ['building-other-merged'],
    'cabinet': ['cabinet-merged'],
    'ceiling': ['ceiling-merged'],
    'computer': ['laptop'],
    'door': ['door-stuff'],
    'earth, ground': ['dirt-merged'],
    'fence': ['fence-merged'],
    'field': ['playingfield'],
    'floor': ['floor-wood', 'floor-other-merged'],
    'food, solid food': ['food-other-merged'],
    'glass, drinking glass': ['wine glass'],
    'grass': ['grass-merged'],
    'minibike, motorbike': ['motorcycle'],
    'mirror': ['mirror-stuff'],
    'mountain, mount': ['mountain-merged'],
    'plant': ['potted plant'],
    'refrigerator, icebox': ['refrigerator'],
    'road, route': ['road'],
    'rock, stone': ['rock-merged'],
    'rug': ['rug-merged'],
    'sidewalk, pavement': ['pavement-merged'],
    'sky': ['sky-other-merged'],
    'sofa': ['couch'],
    'table': ['dining table', 'table-merged'],
    'toilet, can, commode, crapper, pot, potty, stool, throne': ['toilet'],
    'tree': ['tree-merged'],
    'wall': walls,
    'water': ['water-other'],
    'window': ['window-other'],
}
model = dict(vocabulary='ADE20KPanopticDataset', matches=matches)

test_pipeline = [*_base_.test_pipeline]
test_pipeline[1] = dict(type='Resize', scale=(2560, 640), keep_ratio=True)
val_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        ann_file='ade20k_panoptic_val.json',
        data_prefix=dict(img='images/validation/', seg='ade20k_panoptic_val/'),
        vocabulary='ADE20KPanopticDataset',
        pipeline=test_pipeline,
    )
)
test_dataloader = val_dataloader
val_evaluator = [
    dict(
        type='OpenVocabPanopticMetric',
        ann_file=data_root + 'ade20k_panoptic_val.json',
        seg_prefix=data_root + 'ade20k_panoptic_val/',
    ),
    dict(type='ThingMaskMetric', ann_file=data_root + 'ade20k_instance_val.json'),
    dict(type='SemSegMetric', iou_metrics=['mIoU']),
]
test_evaluator = val_evaluator
