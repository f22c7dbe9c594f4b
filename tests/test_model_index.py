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


def test_a_config_is_found_from_any_folder(elsewhere):
    path = 'configs/shapes/fvit_tiny_shapes-ov.py'
    for given in (path, str(ROOT / path), Path(path).stem):
        assert Path(model_index.find_config(given)).samefile(ROOT / path)


def test_names_of_configs_are_unique():
    names = [path.stem for path in ROOT.glob('configs/**/*.py')]
    assert len(names) == len({*names})


def test_a_config_of_the_working_folder_comes_first(elsewhere):
    for path in ('configs/shapes/fvit_tiny_shapes-ov.py', 'fvit_tiny_shapes-ov'):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).touch()
        assert model_index.find_config(path) == path


@pytest.mark.parametrize('given', ['xyz', 'configs/none.py', 'setup.py', '../configs/none.py'])
def test_a_config_that_is_nowhere_is_an_error(given, elsewhere):
    with pytest.raises(FileNotFoundError, match=f'^{given}: there is no such '):
        model_index.find_config(given)


def test_a_tool_says_which_config_it_lacks(run_tool, elsewhere, capsys):
    with pytest.raises(SystemExit):
        run_tool('train', 'clipself_tiny_patch_shapes-ov')
    said = capsys.readouterr().err
    assert 'no config of this name; similar names: clipself_tiny_patches_shapes-ov' in said
