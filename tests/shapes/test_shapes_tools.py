"""The command line of the embedded benchmark."""

import json
import runpy
import sys
from pathlib import Path

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
