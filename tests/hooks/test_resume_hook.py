"""A resumed run says what it takes from its checkpoint and not from the config."""

import uuid
from types import SimpleNamespace

import pytest
import torch
from mmengine.optim import OptimWrapper
from torch import nn

from clipself_mm.clip.weights.tower_source import TowerSource
from clipself_mm.hooks import ResumeHook
from tests.tools.toy_task import CONFIG

HOOKS = """
default_hooks = dict(
    checkpoint=dict(type='DurableCheckpointHook'), resume=dict(type='ResumeHook')
)
custom_imports = dict(imports=['clipself_mm', 'tests.tools.toy_task'])
"""


@pytest.fixture
def train(tmp_path, run_tool, monkeypatch):
    """Trains in one work dir; gives the warnings of --resume."""
    monkeypatch.delenv('LOCAL_RANK', raising=False)
    config, work_dir = tmp_path / 'toy.py', tmp_path / 'w'

    def run(*words):
        config.write_text(CONFIG.replace('RUN', uuid.uuid4().hex) + HOOKS)
        run_tool('train', config, '--work-dir', work_dir, *words)
        log = max(work_dir.glob('*/*.log'), key=lambda path: path.stat().st_mtime)
        return [line for line in log.read_text().splitlines() if 'WARNING - --resume' in line]

    return run


def test_another_batch_and_rate_are_told_in_one_line(train):
    more = ['--resume', '--auto-scale-lr', '--cfg-options', 'train_cfg.max_epochs=2']
    assert train('--auto-scale-lr') == []
    (line,) = train(*more, 'train_dataloader.batch_size=4')
    assert 'the batch was 2 and is 4' in line
    assert 'stays that of the checkpoint, 0.125' in line
    assert 'the 0.25 of the config or of --auto-scale-lr is not used' in line


def test_the_same_run_has_nothing_to_tell(train):
    assert train() == []
    assert train('--resume', '--cfg-options', 'train_cfg.max_epochs=2') == []


def runner_of(model, batch=2):
    warnings = []
    return SimpleNamespace(
        _resume=True,
        model=model,
        train_dataloader=SimpleNamespace(batch_size=batch),
        optim_wrapper=None,
        logger=SimpleNamespace(warning=warnings.append),
    ), warnings


def tower(model, width=3):
    module = nn.Linear(width, 1)
    module.source = TowerSource(model, {}, None)
    return nn.Sequential(module)


def saved(model):
    checkpoint = {'meta': {}, 'state_dict': model.state_dict()}
    ResumeHook().before_save_checkpoint(runner_of(model)[0], checkpoint)
    return checkpoint


def test_another_tower_of_the_same_architecture_is_told():
    checkpoint = saved(tower('ViT-B-16'))
    runner, warnings = runner_of(tower('local-dir:other'))
    ResumeHook().after_load_checkpoint(runner, checkpoint)
    (line,) = warnings
    assert (
        'keeps the tower of the checkpoint, ViT-B-16; that of the config, local-dir:other' in line
    )


def test_another_architecture_is_one_sentence():
    checkpoint = saved(tower('ViT-B-16'))
    runner, _ = runner_of(tower('ViT-L-14', width=4))
    with pytest.raises(ValueError, match=r'tower ViT-B-16, not ViT-L-14.*1 of 2 tensors.*0.weight'):
        ResumeHook().after_load_checkpoint(runner, checkpoint)


def test_other_parameters_to_train_are_one_sentence():
    model = nn.Linear(3, 1)
    checkpoint = saved(model)
    checkpoint['optimizer'] = torch.optim.SGD([model.weight], 0.1).state_dict()
    runner, _ = runner_of(model)
    runner.optim_wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), 0.1))
    with pytest.raises(ValueError, match='other parameters than the config: 1 in 1 groups, not 2'):
        ResumeHook().after_load_checkpoint(runner, checkpoint)


def test_checkpoints_of_earlier_versions_resume():
    runner, warnings = runner_of(tower('ViT-B-16'))
    ResumeHook().after_load_checkpoint(runner, {'state_dict': runner.model.state_dict()})
    assert warnings == []
