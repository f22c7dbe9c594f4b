"""The paper's tables, and one after it: rows, columns, the paper's numbers, what measures each."""

from __future__ import annotations

from collections.abc import Callable

from .suite import Suite
from .table import Column, Row, Table

BOXES = (
    Column('boxes top-1', 'region/boxes/top1'),
    Column('boxes top-5', 'region/boxes/top5'),
)
REGIONS = (
    *BOXES,
    Column('thing masks top-1', 'region/thing_masks/top1'),
    Column('thing masks top-5', 'region/thing_masks/top5'),
    Column('stuff masks top-1', 'region/stuff_masks/top1'),
    Column('stuff masks top-5', 'region/stuff_masks/top5'),
)
NOVEL, BASE, ALL, LAST_NOVEL, LAST_BASE, LAST_ALL = (
    Column(f'{title} {split}', f'{which}/coco/{split}_ap50', 100)
    for which, title in (('best', 'AP50'), ('last', 'last AP50'))
    for split in ('novel', 'base', 'all')
)
EPOCH = Column('best epoch', 'best/epoch')
DETECTION = (NOVEL, BASE, ALL, EPOCH, LAST_NOVEL, LAST_BASE, LAST_ALL)
NOT_TOLD = (None, None, None, None)
"""Of the paper: which epoch was best, and what the last one gave."""
PROTOCOL = (
    'AP50 novel, base and all are those of the best epoch by novel AP50, as in the reference (of '
    'its ViT-L/14 it says: usually epoch 2). So novel classes choose the checkpoint, by the images '
    'it is measured on: the protocol of the reference, not good practice. The last epoch stands '
    'beside it.'
)
ORIGINAL = (18.2, 33.2)
DEFAULT = (72.1, 91.3)
UNKNOWN = (None, None)


def table_1a(suite: Suite) -> Table:
    """Number of image patches."""
    paper = {4: (71.3, 90.1), 6: DEFAULT, 8: (71.6, 91.1), 10: (70.0, 90.2)}
    rows = [Row('1', ('–',), (suite.evaluate(None),), ORIGINAL)]
    for number, (tower, split) in enumerate(suite.splits, start=2):
        measured_by = (suite.evaluate(tower),)
        rows.append(Row(str(number), (f'M = {split}',), measured_by, paper[split]))
    return Table('1a', 'number of image patches', 'Table 1a', ('patch split',), BOXES, tuple(rows))


def table_1b(suite: Suite) -> Table:
    """Number of learnable blocks."""
    paper = {'3': (45.0, 71.1), '6': (59.4, 82.3), '9': (68.7, 88.7), '12': DEFAULT, '': UNKNOWN}
    rows = [Row('1', ('–', '–'), (suite.evaluate(None),), ORIGINAL)]
    for number, (tower, blocks, same) in enumerate(suite.blocks, start=2):
        measured_by = (suite.evaluate(tower),)
        rows.append(Row(str(number), (blocks, same or '–'), measured_by, paper[same]))
    heads = ('learnable blocks', 'in the paper')
    return Table(
        '1b', 'number of learnable blocks', 'Table 1b', heads, BOXES, tuple(rows), suite.remark
    )


def table_1c(suite: Suite) -> Table:
    """Input size of the student, and captions in place of regions at the full size."""
    paper = {'320': (46.5, 70.1), '640': (67.1, 87.7), '1024': DEFAULT, '': UNKNOWN}
    rows = [Row('1', ('–', '–'), (suite.evaluate(None),), ORIGINAL)]
    for number, (tower, size, same) in enumerate(suite.sizes, start=2):
        measured_by = (suite.evaluate(tower),)
        rows.append(Row(str(number), (size, same or '–'), measured_by, paper[same]))
    full = next(size for tower, size, _ in suite.sizes if tower == 'patches')
    captions = (suite.evaluate('image-text'),)
    rows.append(Row('5*', (f'{full}, captions', '1024'), captions, (52.3, 76.4)))
    remark = (
        f'{suite.remark} Students differ in the size they are trained at. All are measured at '
        f'{full} px: the paper does not say its size, but has one number for the untrained tower '
        'of row 1 throughout. Row 5* is trained with captions of whole images.'
    )
    heads = ('student, px', 'in the paper')
    return Table(
        '1c', 'input size of the student', 'Table 1c', heads, BOXES, tuple(rows), remark.strip()
    )


def table_2(suite: Suite) -> Table:
    """Enhancement of the dense representation."""
    rows = (
        Row('1', ('–', '–'), (suite.evaluate(None),), (18.2, 33.2, 20.6, 36.5, 18.4, 43.5)),
        Row(
            '2',
            ('CLIPSelf', 'no'),
            (suite.evaluate('patches'),),
            (72.1, 91.3, 74.4, 91.8, 46.8, 80.2),
        ),
        Row(
            '3',
            ('CLIPSelf', 'yes'),
            (suite.evaluate('proposals'),),
            (74.0, 92.6, 76.3, 92.8, 36.8, 75.0),
        ),
    )
    heads = ('method', 'region proposals')
    return Table(
        '2', 'dense representation', 'Table 2', heads, REGIONS, rows, suite.proposals_remark
    )


def table_3a(suite: Suite) -> Table:
    """Open-vocabulary detection on OV-COCO."""
    rows = (
        (None, ('F-ViT', '–'), (17.5, 41.0, 34.9)),
        ('patches', ('F-ViT + CLIPSelf', 'patches'), (33.6, 54.2, 48.8)),
        ('proposals', ('F-ViT + CLIPSelf', 'proposals'), (37.6, 54.9, 50.4)),
    )
    return Table(
        '3a',
        'F-ViT on OV-COCO',
        'Tables 3a and A5, ViT-B/16',
        ('method', 'regions'),
        DETECTION,
        tuple(
            Row(str(number), labels, (suite.detect(tower),), (*paper, *NOT_TOLD))
            for number, (tower, labels, paper) in enumerate(rows, start=1)
        ),
        f'{PROTOCOL} {suite.proposals_remark}',
    )


def table_7(suite: Suite) -> Table:
    """Comparison with region-text pairs."""
    paper = {
        'region-text': (71.1, 90.7, 73.7, 91.4, 34.2, 68.6, 34.4, 49.0),
        'proposals': (74.0, 92.6, 76.3, 92.8, 36.8, 75.0, 37.6, 50.4),
    }
    names = {'region-text': 'region-text pairs', 'proposals': 'CLIPSelf'}
    extra = {tower: count for tower, count in suite.nouns.items() if count is not None}
    names |= {
        tower: f'region-text pairs, {count} nouns a picture' for tower, count in extra.items()
    }
    columns = (*REGIONS, NOVEL, ALL, EPOCH, LAST_NOVEL, LAST_ALL)
    numbers = {tower: (*row, None, None, None) for tower, row in paper.items()}
    rows = [
        Row(
            tower if tower in extra else str(number),
            (name, 'yes'),
            (suite.evaluate(tower), suite.detect(tower)),
            numbers.get(tower, (None,) * len(columns)),
        )
        for number, (tower, name) in enumerate(names.items(), start=1)
    ]
    return Table(
        '7',
        'CLIPSelf and region-text pairs',
        'Table 7',
        ('method', 'region proposals'),
        columns,
        tuple(rows),
        f'{suite.pairs_remark} {suite.proposals_remark} {PROTOCOL}'.strip(),
    )


def table_a3(suite: Suite) -> Table:
    """Design choices of the detector."""
    rows = (
        ('simplefpn-last', ('SimpleFPN', 'last', '0'), (23.1, 46.6, 40.4)),
        ('fpn-last', ('standard', 'last', '0'), (26.5, 47.0, 41.6)),
        ('fvit', ('standard', 'intermediate', '0'), (33.6, 54.2, 48.8)),
        ('backbone-lr0.01', ('standard', 'intermediate', '0.01'), (31.1, 56.6, 49.9)),
        ('backbone-lr0.1', ('standard', 'intermediate', '0.1'), (21.8, 58.6, 48.8)),
    )
    return Table(
        'A3',
        'design of the detector, on the tower that CLIPSelf refines with patches',
        'Table A3',
        ('pyramid', 'layers', "tower's share of the learning rate"),
        DETECTION,
        tuple(
            Row(str(number), labels, (suite.detect('patches', detector),), (*paper, *NOT_TOLD))
            for number, (detector, labels, paper) in enumerate(rows, start=1)
        ),
        PROTOCOL,
    )


def table_after(suite: Suite) -> Table:
    """What two losses of later work add to patches; no table of the paper."""
    unknown = (None,) * len(REGIONS)
    names = {
        'patches': 'CLIPSelf',
        'scd': 'CLIPSelf + correlation distillation',
        'declip': 'DeCLIP',
    }
    rows = [Row('1', ('–',), (suite.evaluate(None),), unknown)]
    for number, (tower, name) in enumerate(names.items(), start=2):
        rows.append(Row(str(number), (name,), (suite.evaluate(tower),), unknown))
    return Table(
        'after',
        'later losses on the same distiller, with patches',
        '',
        ('method',),
        REGIONS,
        tuple(rows),
        suite.foundation_remark,
    )


TABLES: dict[str, Callable[[Suite], Table]] = {
    '1a': table_1a,
    '1b': table_1b,
    '1c': table_1c,
    '2': table_2,
    '3a': table_3a,
    '7': table_7,
    'A3': table_a3,
    'after': table_after,
}
"""Name to what makes the table of a suite."""
