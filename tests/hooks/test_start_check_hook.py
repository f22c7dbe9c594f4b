"""What would fail in the first validation fails before training; nothing else changes."""

import json
import random
import uuid
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.hooks import CheckpointHook, EarlyStoppingHook, Hook
from mmengine.logging import print_log
from mmengine.model import BaseModel
from mmengine.optim import ReduceOnPlateauLR
from mmengine.runner import Runner, ValLoop
from torch import nn

from clipself_mm.clip.class_embeddings import save_class_embeddings
from clipself_mm.datasets import load_vocabulary
from clipself_mm.evaluation.metrics.region_classification_metric import NoRegionsError
from clipself_mm.hooks import StartCheckHook, start_check_hook
from tests.commands import PATCHES, ROOT, options

FVIT = ROOT / 'configs/shapes/fvit_tiny_shapes-ov.py'
HEAD = 'model.roi_head.bbox_head'


class Numbers(torch.utils.data.Dataset):
    """Six numbers, each with noise of every source."""

    def __len__(self):
        return 6

    def __getitem__(self, index):
        return {'x': torch.rand(2) + index + random.random() + np.random.rand()}


class Noisy(BaseModel):
    """A model that draws random numbers in every step, and once when its mode is set.

    A part of it stays in eval mode.
    """

    def __init__(self):
        super().__init__()
        self.norm, self.frozen, self.out = nn.BatchNorm1d(2), nn.Dropout(), nn.Linear(2, 1)
        self.table = None

    def train(self, mode=True):
        super().train(mode)
        if self.table is None:
            self.table = torch.rand(2)
        self.frozen.eval()
        return self

    def forward(self, x, mode='tensor'):
        noise = torch.rand(len(x), 2) * self.table + random.random() + np.random.rand()
        value = self.out(self.frozen(self.norm(x + noise)))
        return {'loss': value.square().mean()} if mode == 'loss' else [{'y': y} for y in value]


class Mean(BaseMetric):
    """Says what it does; keeps the number of its first samples, as mmdet's metrics do theirs."""

    default_prefix = 'toy'

    def process(self, data_batch, data_samples):
        self.results += [float(sample['y']) for sample in data_samples]

    def compute_metrics(self, results):
        self.kept = getattr(self, 'kept', len(results))
        print_log(f'table of {len(results)} samples', logger='current')
        return {'mean': sum(results), 'kept': float(self.kept)}


class OfMany(Mean):
    """Needs more than one batch."""

    needed = 3

    def compute_metrics(self, results):
        if len(results) < self.needed:
            raise NoRegionsError('no region')
        return super().compute_metrics(results)


class Never(OfMany):
    needed = 100


class Writer(Mean):
    default_prefix = 'writer'

    def __init__(self, out_file):
        super().__init__()
        self.out_file = out_file

    def compute_metrics(self, results):
        self.out_file.write_text(f'{len(results)}')
        return {'count': len(results)}


class Steps(Hook):
    """Notes steps and validations; modes and hub of the first step."""

    def __init__(self):
        self.seen = []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if not self.seen:
            hub = runner.message_hub
            self.hub = sorted(hub.log_scalars), sorted(hub.runtime_info)
            self.modes = [module.training for module in runner.model.modules()]
        self.seen.append('train')

    def before_val_iter(self, runner, batch_idx, data_batch=None):
        self.seen.append('val')


@pytest.fixture
def train(tmp_path):
    """Trains for an epoch; gives the runner, with its steps and its log."""

    def run(check, metrics=None, workers=0, hooks=(), data=None, val_cfg=None, **more):
        torch.manual_seed(0)
        loader = {
            'batch_size': 2,
            'num_workers': workers,
            'persistent_workers': workers > 0,
            'dataset': Numbers(),
            'sampler': {'type': 'DefaultSampler', 'shuffle': True},
            'collate_fn': {'type': 'default_collate'},
        }
        steps = Steps()
        name = uuid.uuid4().hex
        runner = Runner(
            model=Noisy(),
            work_dir=str(tmp_path / name),
            train_dataloader={**loader, 'num_workers': 0, 'persistent_workers': False},
            train_cfg={'by_epoch': True, 'max_epochs': 1, 'val_interval': 1},
            val_dataloader={**loader, 'dataset': Numbers() if data is None else data},
            val_cfg=val_cfg or {},
            val_evaluator=metrics or [Mean()],
            optim_wrapper={'optimizer': {'type': 'AdamW', 'lr': 0.05}},
            custom_hooks=[StartCheckHook(check), steps, *hooks],
            randomness={'seed': 0},
            experiment_name=name,
            **more,
        )
        runner.steps = steps
        try:
            runner.train()
        finally:
            (log,) = (tmp_path / name).glob('*/*.log')
            runner.lines = log.read_text()
        return runner

    return run


@pytest.mark.parametrize('workers', [0, 1])
def test_training_is_the_same_bit_for_bit(train, workers):
    checked, plain = train(8, workers=workers), train(0, workers=workers)
    for (name, value), other in zip(
        checked.model.state_dict().items(), plain.model.state_dict().values(), strict=True
    ):
        assert value.equal(other), name
    assert checked.steps.hub == plain.steps.hub
    assert checked.steps.modes == plain.steps.modes
    assert len(set(plain.steps.modes)) == 2
    assert checked.steps.seen == plain.steps.seen == ['train'] * 3 + ['val'] * 3
    scores = [run.message_hub.get_scalar('val/toy/mean').current() for run in (checked, plain)]
    assert scores[0] == scores[1]
    assert checked.message_hub.get_scalar('val/toy/kept').current() == 6  # of the validation


def test_one_line_says_what_was_checked(train):
    hook = CheckpointHook(save_best='toy/mean', rule='less')
    lines = train(8, hooks=[hook]).lines.splitlines()
    (line,) = [line for line in lines if 'Start check' in line]
    assert '1 of 3 validation batches passed the model and Mean; keys found: toy/mean' in line
    assert sum('table of' in line for line in lines) == 1  # the validation's own


@pytest.mark.parametrize(
    ('hook', 'message'),
    [
        (
            CheckpointHook(save_best='toy/maen', rule='less'),
            "save_best of CheckpointHook is 'toy/maen'.*nearest is toy/mean.*toy/mean, toy/kept",
        ),
        (
            CheckpointHook(save_best=['toy/mean', 'acc'], rule='less'),
            "save_best of CheckpointHook is 'acc', which",
        ),
        (EarlyStoppingHook('toy/top1'), "monitor of EarlyStoppingHook is 'toy/top1'"),
    ],
)
def test_a_key_that_the_evaluator_does_not_give(train, hook, message):
    steps = Steps()
    with pytest.raises(ValueError, match=message):
        train(8, hooks=[hook, steps])
    assert steps.seen == []


def test_a_schedule_needs_its_key_too(train):
    schedule = dict(type='ReduceOnPlateauLR', monitor='toy/loss')
    with pytest.raises(ValueError, match=f"{ReduceOnPlateauLR.__name__} is 'toy/loss'"):
        train(8, param_scheduler=schedule)


def test_a_metric_with_nothing_to_count_is_tried_on_more_batches(train):
    hook = CheckpointHook(save_best='toy/mean', rule='less')
    assert '2 of 3 validation batches passed' in train(8, [OfMany()], hooks=[hook]).lines
    runner = train(1, [OfMany()], hooks=[hook])
    assert 'keys are not checked: nothing to count (no region)' in runner.lines
    with pytest.raises(NoRegionsError):  # the validation itself, after the training
        train(8, [Never()], hooks=[hook])


def test_writers_are_left_out(train, tmp_path):
    out_file = tmp_path / 'out.txt'
    hook = CheckpointHook(save_best='toy/mean', rule='less')
    runner = train(8, [Mean(), Writer(out_file)], hooks=[hook])
    assert 'keys are not checked, of Writer' in runner.lines
    assert out_file.read_text() == '6'  # of the validation
    out_file.unlink()
    with pytest.raises(RuntimeError, match='stop'):
        train(8, [Writer(out_file)], hooks=[Stop()])
    assert not out_file.exists()


class Stop(Hook):
    def before_train_epoch(self, runner):
        raise RuntimeError('stop')


class Renaming(Evaluator):
    """Gives keys of its own, as mmdet's evaluator of several data sets does."""

    def evaluate(self, size):
        return {f'first/{key}': value for key, value in super().evaluate(size).items()}


class TwiceLoop(ValLoop):
    """Names keys by itself, as mmdet's loop for teacher and student does."""

    def run(self):
        return {f'first/{key}': value for key, value in super().run().items()}


@pytest.mark.parametrize(
    ('metrics', 'loop', 'names'),
    [(Renaming([Mean()]), {}, 'ValLoop, Renaming'), ([Mean()], {'type': TwiceLoop}, 'TwiceLoop')],
)
def test_keys_of_others_are_not_checked(train, metrics, loop, names):
    runner = train(
        8, metrics, val_cfg=loop, hooks=[EarlyStoppingHook('first/mean', rule='less', strict=False)]
    )
    assert f'keys are not checked, of {names}' in runner.lines


@pytest.mark.parametrize('workers', [0, 1])
def test_an_error_of_the_data_is_that_of_the_validation(train, monkeypatch, workers):
    def fail(self, index):
        raise OSError(f'picture {index} is broken')

    monkeypatch.setattr(Numbers, '__getitem__', fail)
    with pytest.raises(OSError, match=r'picture \d is broken'):
        train(8, workers=workers)


def test_a_failure_in_another_process_ends_this_one(train, monkeypatch):
    monkeypatch.setattr(start_check_hook, 'max_over_processes', lambda state: 2)
    with pytest.raises(RuntimeError, match='in another process'):
        train(8)


def test_an_empty_validation_raises(train):
    with pytest.raises(ValueError, match='Subset of the validation has no sample'):
        train(8, data=torch.utils.data.Subset(Numbers(), []))


def test_a_run_that_is_over_is_not_checked(train):
    work_dir = Path(
        train(0, default_hooks={'checkpoint': {'type': 'CheckpointHook', 'interval': 1}}).work_dir
    )
    over = train(8, load_from=str(work_dir / 'epoch_1.pth'), resume=True)
    assert over.steps.seen == []
    assert 'Start check' not in over.lines


@pytest.mark.slow
@pytest.mark.parametrize(
    ('override', 'message'),
    [
        ('val_dataloader.dataset.pipeline.4.size=130', 'an image has 130 x 130 pixels'),
        ('default_hooks.checkpoint.save_best=region/bxes/top1', 'nearest is region/boxes/top1'),
        ('default_hooks.checkpoint.save_bset=x', "no argument 'save_bset', nearest is save_best"),
        ('default_hooks.checkpoint.interval=x', "needs int for interval, got 'x'"),
    ],
)
def test_late_errors_of_a_distillation(
    shapes, micro_clip, tmp_path, run_tool, monkeypatch, override, message
):
    monkeypatch.delenv('LOCAL_RANK', raising=False)
    overrides = options(shapes, micro_clip, override, f'experiment_name={uuid.uuid4().hex}')
    with pytest.raises((ValueError, TypeError), match=message):
        run_tool('train', PATCHES, '--work-dir', tmp_path / 'w', '--cfg-options', *overrides)
    assert not list((tmp_path / 'w').glob('*.pth'))


@pytest.fixture
def other_files(tmp_path, shapes):
    """Embeddings of another width, a vocabulary in another order; a json of other images."""
    classes = load_vocabulary('shapes_ov').classes
    names = [*classes, 'background']
    save_class_embeddings(tmp_path / 'narrow.pt', names, torch.randn(len(names), 8))
    (tmp_path / 'order.json').write_text(json.dumps({'classes': classes[::-1]}))
    return tmp_path, shapes / 'annotations'


@pytest.mark.slow
@pytest.mark.parametrize(
    ('override', 'message'),
    [
        ('val_evaluator.ann_file={json}/instances_train_all.json', 'has no image'),
        (f'{HEAD}.cls_predictor_cfg.embeddings={{folder}}/narrow.pt', 'embeddings have 8 channels'),
        ('val_dataloader.dataset.vocabulary={folder}/order.json', 'differ from label 0 on'),
    ],
)
def test_late_errors_of_a_detector(
    shapes, other_files, tmp_path, run_tool, monkeypatch, override, message
):
    monkeypatch.delenv('LOCAL_RANK', raising=False)
    folder, annotations = other_files
    overrides = [
        f'train_dataloader.dataset.data_root={shapes}/',
        f'val_dataloader.dataset.data_root={shapes}/',
        override.format(folder=folder, json=annotations),
        f'experiment_name={uuid.uuid4().hex}',
    ]
    with pytest.raises(ValueError, match=message):
        run_tool('train', FVIT, '--work-dir', tmp_path / 'w', '--cfg-options', *overrides)
    assert not list((tmp_path / 'w').glob('*.pth'))
