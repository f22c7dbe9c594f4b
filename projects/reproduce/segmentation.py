"""Tables 5 and 6 in miniature: segmentation and panoptic fusion of Shapes-OV by refined towers."""

from __future__ import annotations

from collections.abc import Callable

from .experiment import Experiment
from .shapes_suite import FOLDER, ShapesSuite
from .table import Column, Row, Table

TOWERS = {None: 'original', 'patches': 'CLIPSelf, patches', 'proposals': 'CLIPSelf, proposals'}
"""Tower to its name in a table; None is the untrained one."""
SEGMENTATION = (Column('mIoU', 'mIoU'), Column('mAcc', 'mAcc'))
PANOPTIC = (
    Column('PQ', 'coco_panoptic/PQ'),
    Column('PQ base things', 'coco_panoptic/PQ_seen_th'),
    Column('PQ novel things', 'coco_panoptic/PQ_unseen_th'),
    Column('PQ stuff', 'coco_panoptic/PQ_st'),
    Column('mask AP all', 'coco/segm_all_ap', 100),
    Column('mask AP base', 'coco/segm_base_ap', 100),
    Column('mask AP novel', 'coco/segm_novel_ap', 100),
    Column('mIoU', 'mIoU'),
)
GENERATOR_STEPS = 1600


def table_5(suite: ShapesSuite) -> Table:
    """Semantic segmentation, without training and by CAT-Seg."""
    methods = {'zero-shot': zero_shot, 'CAT-Seg': cat_seg}
    rows = [(method, tower) for method in methods for tower in TOWERS]
    return Table(
        '5',
        'semantic segmentation',
        '',
        ('method', 'tower'),
        SEGMENTATION,
        tuple(
            Row(
                str(number),
                (method, TOWERS[tower]),
                (methods[method](suite, tower),),
                (None,) * len(SEGMENTATION),
            )
            for number, (method, tower) in enumerate(rows, start=1)
        ),
        f'CAT-Seg learns from base things and all stuff. {suite.proposals_remark}',
    )


def table_6(suite: ShapesSuite) -> Table:
    """Panoptic segmentation by the scores of a mask generator and of towers."""
    scores = {'clip': 'CLIP only', 'pred': 'generator only', 'fused': 'fused'}
    rows = [
        (score, tower)
        for score in scores
        for tower in TOWERS
        if score != 'pred' or tower is None  # whose score has no part of a tower
    ]
    return Table(
        '6',
        'panoptic fusion',
        '',
        ('score', 'tower'),
        PANOPTIC,
        tuple(
            Row(
                str(number),
                (scores[score], '–' if score == 'pred' else TOWERS[tower]),
                (fuse(suite, tower, score),),
                (None,) * len(PANOPTIC),
            )
            for number, (score, tower) in enumerate(rows, start=1)
        ),
        'The generator is a Mask2Former on the original tower, trained on base things and stuff, '
        f'one a seed. {suite.proposals_remark}',
    )


def zero_shot(suite: ShapesSuite, tower: str | None) -> Experiment:
    """Pixels of the dense map classified by text."""
    options = suite.data_of('test') | suite.tower_options('model.tower', tower)
    needs = {} if tower is None else {'tower': suite.distil(tower)}
    name = f'zero-shot_{tower or "original"}'
    config = f'{FOLDER}/zero-shot_tiny_shapes-ov.py'
    return Experiment(name, config, options, needs, seeded=tower is not None)


def cat_seg(suite: ShapesSuite, tower: str | None) -> Experiment:
    """CAT-Seg after its last step."""
    config = f'{FOLDER}/cat-seg_tiny_shapes-ov.py'
    backbone = suite.tower_options('model.backbone.tower', tower)
    needs = {} if tower is None else {'tower': suite.distil(tower)}
    training = Experiment(
        f'train_cat-seg_{tower or "original"}',
        config,
        suite.data_of('train', 'val') | backbone | {'train_cfg.val_begin': '1000000'},
        needs,
        trains=True,
    )
    return Experiment(
        f'cat-seg_{tower or "original"}',
        config,
        suite.data_of('test') | backbone,
        {**needs, 'training': training},
        checkpoint='training',
    )


def generator(suite: ShapesSuite) -> Experiment:
    """The training of the mask generator."""
    options = {
        **suite.data_of('train', 'val'),
        **panoptic_truth('val'),
        'train_cfg.val_begin': '1000000',
    }
    config = f'{FOLDER}/mask2former_tiny_shapes-ov.py'
    return Experiment('mask-generator', config, options, trains=True)


def fuse(suite: ShapesSuite, tower: str | None, score: str) -> Experiment:
    """Panoptic segmentation by the score `clip`, `pred` or `fused`."""
    options = {
        **suite.data_of('test'),
        **panoptic_truth('test'),
        **suite.tower_options('model.tower', tower),
        'model.generator_checkpoint': f'{{generator}}/iter_{GENERATOR_STEPS}.pth',
        'model.test_cfg.score': score,
    }
    needs = {'generator': generator(suite)}
    if tower is not None:
        needs['tower'] = suite.distil(tower)
    name = f'panoptic_{score}_{tower or "original"}'
    return Experiment(name, f'{FOLDER}/panoptic-fusion_tiny_shapes-ov.py', options, needs)


def panoptic_truth(split: str) -> dict[str, str]:
    """Options with the files that the panoptic metrics of a split read."""
    folder = '{data}/annotations'
    return {
        f'{split}_evaluator.0.ann_file': f'{folder}/panoptic_val.json',
        f'{split}_evaluator.0.seg_prefix': f'{folder}/panoptic_val/',
        f'{split}_evaluator.1.ann_file': f'{folder}/instances_val.json',
    }


SEGMENTATION_TABLES: dict[str, Callable[[ShapesSuite], Table]] = {'5': table_5, '6': table_6}
"""Name to what makes the table."""
