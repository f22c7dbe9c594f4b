"""Shared fixtures: a micro CLIP, a small Shapes-OV, an empty folder, tools in this process."""

import gc
import sys

import pytest
from tqdm import tqdm

from clipself_mm.clip import TextTower
from clipself_mm.clip.class_embeddings import save_class_embeddings
from clipself_mm.datasets import load_vocabulary
from clipself_mm.shapes.export import ShapesOV, export_shapes_ov
from tests.commands import load_tool
from tests.factories import write_micro_clip
from tests.forks import format_each_config_once, read_each_prompt_once

gc.disable()  # until all is imported
format_each_config_once()
read_each_prompt_once()


def pytest_collection_modifyitems(items):
    """Files with slow tests come first, so that no process ends with a long one alone."""
    slow = {item.path for item in items if item.get_closest_marker('slow')}
    items.sort(key=lambda item: item.path not in slow)


def pytest_collection_finish():
    """What is imported by now is no garbage: not to be looked through by mmengine's data sets."""
    gc.enable()
    gc.freeze()


@pytest.fixture(scope='session')
def micro_clip(tmp_path_factory):
    """Model name of a random micro CLIP (32 px, patch 8, 3 blocks, D 16)."""
    return write_micro_clip(tmp_path_factory.mktemp('clip') / 'micro')


@pytest.fixture(scope='session')
def words_given(micro_clip, tmp_path_factory):
    """Override with the class embeddings that each run on the micro CLIP would compute."""
    path = tmp_path_factory.mktemp('words') / 'words.pt'
    classes = load_vocabulary('shapes_ov_panoptic').classes
    save_class_embeddings(path, classes, TextTower(micro_clip).embed_classes(classes))
    return f'model.classifier.embeddings={path}'


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
