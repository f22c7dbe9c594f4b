"""The two command lines of the embedded benchmark."""

import json
import runpy
import sys
from pathlib import Path

import pytest
import torch

TOOLS = Path(__file__).parents[2] / 'tools'


def run(monkeypatch, tool, *arguments):
    monkeypatch.setattr(sys, 'argv', [tool, *map(str, arguments)])
    runpy.run_path(str(TOOLS / tool), run_name='__main__')


def test_make_shapes_ov_writes_once(monkeypatch, tmp_path, capsys):
    arguments = ['--out', tmp_path / 'set', '--train', 2, '--val', 1, '--size', 64, '--seed', 4]
    run(monkeypatch, 'make_shapes_ov.py', *arguments, '--workers', 1)
    assert 'written to' in capsys.readouterr().out
    manifest = json.loads((tmp_path / 'set' / 'shapes_ov.json').read_text())
    assert (manifest['train'], manifest['val'], manifest['size'], manifest['seed']) == (2, 1, 64, 4)
    run(monkeypatch, 'make_shapes_ov.py', *arguments, '--workers', 1)
    assert 'already complete in' in capsys.readouterr().out


@pytest.mark.parametrize(
    ('tower', 'folder'), [('vit', 'tiny_clip'), ('resnet', 'tiny_clip_resnet')]
)
def test_train_tiny_clip_exports_what_open_clip_loads(monkeypatch, tmp_path, capsys, tower, folder):
    monkeypatch.chdir(tmp_path)
    arguments = ['--steps', 1, '--batch', 2, '--scenes', 2, '--singles', 2, '--check', 2]
    arguments += ['--threads', torch.get_num_threads(), '--tower', tower]
    run(monkeypatch, 'train_tiny_clip.py', *arguments)
    assert 'zero-shot top-1' in capsys.readouterr().out
    names = {path.name for path in (tmp_path / 'work_dirs' / folder).iterdir()}
    assert names == {'checkpoints', 'open_clip_config.json', 'open_clip_model.safetensors'}
