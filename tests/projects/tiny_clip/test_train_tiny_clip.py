"""The command line that trains the tiny CLIP."""

import runpy
import sys
from pathlib import Path

import pytest
import torch

TOOL = Path(__file__).parents[3] / 'tools/train_tiny_clip.py'


@pytest.mark.slow
@pytest.mark.parametrize(
    ('tower', 'folder'), [('vit', 'tiny_clip'), ('resnet', 'tiny_clip_resnet')]
)
def test_train_tiny_clip_tool(monkeypatch, tmp_path, capsys, tower, folder):
    monkeypatch.chdir(tmp_path)
    arguments = ['--steps', 1, '--batch', 2, '--scenes', 2, '--singles', 2, '--check', 2]
    arguments += ['--threads', torch.get_num_threads(), '--tower', tower]
    monkeypatch.setattr(sys, 'argv', ['train_tiny_clip.py', *map(str, arguments)])
    runpy.run_path(str(TOOL), run_name='__main__')
    assert 'zero-shot top-1' in capsys.readouterr().out
    names = {path.name for path in (tmp_path / 'work_dirs' / folder).iterdir()}
    assert names == {'checkpoints', 'open_clip_config.json', 'open_clip_model.safetensors'}
