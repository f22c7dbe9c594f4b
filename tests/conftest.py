"""Shared fixtures: a micro CLIP, a small Shapes-OV, an empty folder, tools in this process."""

import sys

import pytest
from tqdm import tqdm

from clipself_mm.shapes.export import ShapesOV, export_shapes_ov
from tests.commands import load_tool
from tests.factories import write_micro_clip


@pytest.fixture(scope='session')
def micro_clip(tmp_path_factory):
    """Model name of a random micro CLIP (32 px, patch 8, 3 blocks, D 16)."""
    return write_micro_clip(tmp_path_factory.mktemp('clip') / 'micro')


@pytest.fixture(scope='session')
def shapes(tmp_path_factory):
    """Folder of a Shapes-OV of 24 and 9 scenes of 128 px."""
    folder = tmp_path_factory.mktemp('shapes_ov')
    export_shapes_ov(folder, ShapesOV(train=24, val=9, size=128), progress=tqdm)
    return folder


@pytest.fixture
def run_tool(monkeypatch):
    """Runs main of tools/NAME.py in this process, with the given words."""

    def run(name, *words):
        monkeypatch.setattr(sys, 'argv', [f'{name}.py', *map(str, words)])
        return load_tool(name).main()

    return run


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """The current folder is an empty one."""
    monkeypatch.chdir(tmp_path)
