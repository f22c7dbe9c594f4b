"""Looking a model up in `model-index.yml`, in a checkout and in an installed package."""

import shutil
from pathlib import Path

import pytest

from clipself_mm import model_index

ROOT = Path(__file__).parents[1]


def test_a_name_gives_config_and_weights():
    found = model_index.find_model('fvit_tiny_shipped_shapes-ov')
    assert found.config.samefile(ROOT / 'configs/shapes/fvit_tiny_shipped_shapes-ov.py')
    assert found.weights.startswith('pkg:clipself_mm.shapes/')
    assert model_index.find_model('rpn_r50-fpn_8xb2-1x_ov-coco').weights is None


def test_in_a_wheel_the_index_lies_in_the_package(tmp_path, monkeypatch):
    mim = tmp_path / 'clipself_mm/.mim'
    mim.mkdir(parents=True)
    shutil.copy(ROOT / 'model-index.yml', mim)
    monkeypatch.setattr(model_index, '__file__', str(mim.parent / 'model_index.py'))
    assert model_index.find_model('fvit_tiny_shipped_shapes-ov').config.is_relative_to(mim)


def test_an_unknown_name_is_told_with_similar_ones():
    with pytest.raises(ValueError, match=r"'clipself_tiny'.*clipself_tiny_patches_shapes-ov"):
        model_index.find_model('clipself_tiny')
