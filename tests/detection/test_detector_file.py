"""A detector as one file of safetensors: mmengine's loaders, inferencers, load_from, its tower."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mmdet.apis import DetInferencer
from mmengine.runner import CheckpointLoader
from safetensors import safe_open
from safetensors.torch import save_file

from clipself_mm import OpenVocabDetector
from clipself_mm.clip import build_tower
from tests.detection.tiny_fvit import write_detector


@pytest.fixture
def trained(micro_clip, elsewhere, run_tool):
    """A (random) detector in the current folder, and half.safetensors from its checkpoint."""
    write_detector(Path(), micro_clip)
    run_tool('export_detector', 'checkpoint.pth', 'half.safetensors', '--dtype', 'float16')
    run_tool('export_detector', 'checkpoint.pth', 'whole.safetensors')


def load(path):
    return CheckpointLoader.load_checkpoint(str(path), map_location='cpu')


def test_the_file_holds_what_the_checkpoint_says(trained):
    expected, found = load('checkpoint.pth'), load('whole.safetensors')
    assert found['state_dict'].keys() == expected['state_dict'].keys()
    for key, value in expected['state_dict'].items():
        assert torch.equal(found['state_dict'][key], value), key
    assert json.dumps(found['meta']) == json.dumps(expected['meta'])
    assert dict(found['state_dict']._metadata) == dict(expected['state_dict']._metadata)
    again = Path('whole.safetensors').read_bytes()
    half = Path('half.safetensors').stat().st_size
    assert half < 0.6 * len(again)


def test_inferencers_take_it(trained):
    """mmdet's reads class names from it, and warns of nothing."""
    expected = DetInferencer('config.py', 'checkpoint.pth', device='cpu', show_progress=False)
    found = DetInferencer('config.py', 'whole.safetensors', device='cpu', show_progress=False)
    assert tuple(found.model.dataset_meta['classes']) == expected.model.dataset_meta['classes']
    one, other = (item('image.png')['predictions'][0] for item in (expected, found))
    assert one == other
    whole, half = (
        OpenVocabDetector('config.py', f'{name}.safetensors', 'cpu')('image.png', score_thr=0.0)[0]
        for name in ('whole', 'half')
    )
    assert half.boxes.dtype == np.float32
    assert np.allclose(half.scores[:10], whole.scores[:10], atol=0.01)


def test_the_tower_in_it_is_one_for_build_tower(trained, micro_clip):
    tower = build_tower(micro_clip, 'whole.safetensors')
    state = load('checkpoint.pth')['state_dict']
    for key, value in tower.state_dict().items():
        assert torch.equal(value, state[f'backbone.tower.{key}'])


def test_a_file_inside_a_package(trained, tmp_path, monkeypatch):
    (tmp_path / 'lent_weights').mkdir()
    Path('half.safetensors').rename(tmp_path / 'lent_weights/half.safetensors')
    (tmp_path / 'lent_weights/__init__.py').touch()
    monkeypatch.syspath_prepend(tmp_path)
    assert load('pkg:lent_weights/half.safetensors')['meta']['dataset_meta']['classes']
    with pytest.raises(FileNotFoundError, match=r'lent_weights/gone\.safetensors'):
        load('pkg:lent_weights/gone.safetensors')
    with pytest.raises(FileNotFoundError, match='pkg:no_package/x'):
        load('pkg:no_package/x')


@pytest.mark.parametrize('header', ['[]', '{', '3'])
def test_a_broken_header_is_named(header, elsewhere):
    save_file({'a': torch.ones(1)}, 'broken.safetensors', {'dataset_meta': header})
    with pytest.raises(ValueError, match=r'broken\.safetensors'):
        load('broken.safetensors')


def test_tensors_of_others_stay_as_they_are(elsewhere):
    save_file({'a': torch.ones(1)}, 'other.safetensors', {'format': 'pt'})
    assert load('other.safetensors').keys() == {'a'}


def test_what_is_no_detector_ends_with_one_sentence(trained, run_tool):
    torch.save(dict(a=torch.ones(1)), 'tower.pth')
    state = dict(a=torch.tensor(1e6))
    torch.save(dict(state_dict=state, meta=dict(dataset_meta={})), 'large.pth')
    for given, out, problem in (
        ('tower.pth', 'x.safetensors', r'tower\.pth: expected the checkpoint of a detector'),
        ('large.pth', 'x.safetensors', r'large\.pth in float16'),
        ('checkpoint.pth', 'x.pth', r'x\.pth: expected the ending'),
        ('gone.pth', 'x.safetensors', r'gone\.pth'),
    ):
        with pytest.raises(SystemExit, match=problem):
            run_tool('export_detector', given, out, '--dtype', 'float16')
        assert not Path(out).exists()


def test_the_activation_of_the_tower_is_recorded(trained):
    with safe_open('whole.safetensors', framework='pt') as file:
        assert file.metadata()['quick_gelu'] == 'false'
