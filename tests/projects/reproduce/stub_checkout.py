"""A checkout whose tools take milliseconds: they write down that they were called."""

import io
import json
from pathlib import Path

from projects.reproduce import Column, Display, Experiment, Row, RunContext, Table

TOOL = """
import argparse, json, os, sys, time
from pathlib import Path

parser = argparse.ArgumentParser()
parser.add_argument('config')
parser.add_argument('checkpoint', nargs='?')
parser.add_argument('--work-dir', type=Path)
parser.add_argument('--resume', action='store_true')
parser.add_argument('--cfg-options', nargs='+')
args = parser.parse_args()
options = dict(item.split('=', 1) for item in args.cfg_options)
calls = Path(__file__).parents[1] / 'calls.txt'
with calls.open('a') as file:
    file.write(args.work_dir.name + '\\n')
print('output of', args.work_dir.name, 'threads', os.environ['OMP_NUM_THREADS'])
if 'fails' in options and Path(options['fails']).exists():
    sys.exit('told to fail')
"""
TRAIN = (
    TOOL
    + """
epochs = int(options.get('train_cfg.max_epochs', 3))
pointer = args.work_dir / 'last_checkpoint'
done = int(pointer.read_text().rpartition('_')[2][:-4]) if pointer.exists() else 0
log = args.work_dir / f'2030010{done + 1}_000000' / 'vis_data' / 'scalars.json'
for epoch in range(done + 1, epochs + 1):
    (args.work_dir / f'epoch_{epoch}.pth').write_text(f'{epoch} {done}')
    pointer.write_text(f'/elsewhere/epoch_{epoch}.pth')
    while 'waits' in options and epoch == 2 and Path(options['waits']).exists():
        time.sleep(0.01)
    if 'validates' in options:
        log.parent.mkdir(parents=True, exist_ok=True)
        numbers = {'coco/ap': float(options['validates'].split(',')[epoch - 1]), 'step': epoch}
        with log.open('a') as file:
            file.write('{"loss": 1.0, "step": 9}\\n' + json.dumps(numbers) + '\\n')
"""
)
TEST = (
    TOOL
    + """
number = float(options['number'])
if 'tower' in options:
    number += len(list(Path(options['tower']).glob('epoch_*.pth')))
    number += 10 * int(options['tower'].rpartition('seed')[2])
if args.checkpoint:
    number += 0.5 * int(Path(args.checkpoint).read_text().split()[0])
log = args.work_dir / '20300101_000000'
log.mkdir(exist_ok=True)
metrics = {'m/top1': number, 'm/text': 'no number', 'coco/ap': number / 100}
(log / '20300101_000000.json').write_text(json.dumps(metrics))
"""
)
TRAINING = """
model = dict(type='M', width={width})
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=3)
param_scheduler = [
    dict(type='LinearLR', by_epoch=False, begin=0, end=50),
    dict(type='CosineAnnealingLR', by_epoch=True, begin=0, end=3),
    dict(type='MultiStepLR', milestones=[2]),
]
default_hooks = dict(logger=dict(interval=7), ensemble=dict(alpha=0.7))
"""
ITERATIONS = """
model = dict(type='M')
train_cfg = dict(type='IterBasedTrainLoop', max_iters=700)
param_scheduler = [
    dict(type='LinearLR', by_epoch=False, begin=0, end=50),
    dict(type='WarmupCosineLR', warmup=20, end=700),
]
"""


def write_checkout(root):
    """Two tools and three configs; returns the root."""
    (root / 'tools').mkdir(parents=True)
    (root / 'configs').mkdir()
    (root / 'tools/train.py').write_text(TRAIN)
    (root / 'tools/test.py').write_text(TEST)
    (root / 'configs/train.py').write_text(TRAINING.format(width=8))
    (root / 'configs/iterations.py').write_text(ITERATIONS)
    (root / 'configs/test.py').write_text("model = dict(type='M')\n")
    return root


def context_of(root, **options):
    places = dict(root=root, work_dir=root / 'work', data_root=root / 'data', data='toys')
    return RunContext(**{**places, **options})


class Lines(Display):
    """A display that keeps its lines."""

    def __init__(self):
        super().__init__(io.StringIO())

    @property
    def lines(self):
        return self.stream.getvalue().splitlines()


def calls_of(root):
    path = Path(root) / 'calls.txt'
    return path.read_text().split() if path.exists() else []


def result_of(root, name):
    return json.loads((root / 'work' / name / 'results.json').read_text())


def train(name='tower', **options):
    return Experiment(name, 'configs/train.py', options, trains=True)


def validated(*scores, name='detector', **options):
    """A training that is validated after each of its three epochs, with these scores."""
    options['validates'] = ','.join(map(str, scores))
    return Experiment(name, 'configs/train.py', options, trains=True, best_by='coco/ap')


def measure(tower, number='1', name=None, **needs):
    options = dict(number=number, tower='{tower}')
    needs = dict(tower=tower, **needs)
    return Experiment(name or f'measure_{tower.name}', 'configs/test.py', options, needs)


def original(number='7'):
    return Experiment('original', 'configs/test.py', dict(number=number), seeded=False)


COLUMNS = (Column('top-1', 'm/top1'), Column('AP', 'coco/ap', 100))


def table_of(*rows, name='x'):
    """Rows of (number, measurements)."""
    lines = tuple(Row(number, (f'row {number}',), runs, (70.0, None)) for number, runs in rows)
    return Table(name, 'toys', 'Table X', ('what',), COLUMNS, lines)
