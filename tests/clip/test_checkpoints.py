"""Layouts that load, files that are refused, towers that are written."""

import errno
import json
from pathlib import Path

import open_clip
import pytest
import torch
from safetensors.torch import load_file, save_file

from clipself_mm.clip import build_tower, find_source, read_state
from clipself_mm.clip.export.tower_export import check_exportable, export_tower
from tests.parity.fixtures import FIXTURES

EVA = FIXTURES / 'eva_tiny_weights.safetensors'


def micro_state(micro_clip):
    return load_file(f'{micro_clip.removeprefix("local-dir:")}/open_clip_model.safetensors')


@pytest.mark.parametrize('wrapper', [None, 'state_dict', 'model', 'module'])
@pytest.mark.parametrize('prefix', ['', 'module.'])
def test_wrapped_and_prefixed_checkpoints_load(micro_clip, tmp_path, wrapper, prefix):
    state = micro_state(micro_clip)
    content = {f'{prefix}{key}': value for key, value in state.items()}
    torch.save({wrapper: content, 'epoch': 3} if wrapper else content, tmp_path / 'clip.pt')
    read = read_state(tmp_path / 'clip.pt')
    assert read.keys() == state.keys()
    assert all(read[key].equal(state[key]) for key in state)


def test_keys_of_eva_clip_become_those_of_open_clip():
    state = read_state(EVA)
    blocks = {key.split('.')[3] for key in state if key.startswith('visual.trunk.blocks.')}
    assert not [key for key in state if 'rope' in key]
    assert 'visual.trunk.blocks.0.attn.q_proj.bias' in state
    assert blocks == {str(index) for index in range(len(blocks))}
    names = open_clip.create_model('EVA02-B-16', device='meta').state_dict().keys()
    assert {k for k in state if '.blocks.0.' in k} == {
        k for k in names if k.startswith('visual.trunk.blocks.0.')
    }


class Payload:
    ran = False

    def __reduce__(self):
        return setattr, (Payload, 'ran', True)


def test_pickled_code_raises_and_is_not_run(tmp_path):
    torch.save({'state_dict': {}, 'extra': Payload()}, tmp_path / 'evil.pt')
    with pytest.raises(ValueError, match=r'evil\.pt.*setattr'):
        read_state(tmp_path / 'evil.pt')
    assert not Payload.ran


@pytest.mark.parametrize('name', ['clip.pt', 'clip.safetensors'])
def test_truncated_file_raises(micro_clip, tmp_path, name):
    path = tmp_path / name
    if path.suffix == '.pt':
        torch.save(micro_state(micro_clip), path)
    else:
        save_file(micro_state(micro_clip), path)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(ValueError, match=path.name) as raised:
        read_state(path)
    assert str(path) in str(raised.value)


def test_checkpoint_of_another_architecture_raises_with_both_shapes(micro_clip, tmp_path):
    state = micro_state(micro_clip)
    state['visual.conv1.weight'] = torch.zeros(48, 3, 8, 8)
    state['visual.extra'] = torch.zeros(1)
    del state['visual.proj']
    save_file(state, tmp_path / 'other.safetensors')
    with pytest.raises(ValueError, match=r'other\.safetensors') as raised:
        build_tower(micro_clip, str(tmp_path / 'other.safetensors'))
    message = str(raised.value)
    assert message.index('(48, 3, 8, 8)') < message.index('(32, 3, 8, 8)')
    assert 'visual.conv1.weight' in message
    assert 'visual.extra' in message
    assert 'visual.proj' in message


def test_checkpoint_without_clip_raises(tmp_path):
    save_file({'backbone.weight': torch.zeros(1)}, tmp_path / 'resnet.safetensors')
    with pytest.raises(ValueError, match=r'resnet\.safetensors.*visual\.\*.*backbone\.weight'):
        read_state(tmp_path / 'resnet.safetensors')


def test_unknown_models_and_missing_files_raise(tmp_path):
    with pytest.raises(ValueError, match=r'EVA02-B-17.*EVA02-B-16'):
        find_source('EVA02-B-17')
    with pytest.raises(FileNotFoundError, match=r'nothing\.pt.*EVA02-B-16'):
        find_source('EVA02-B-16', str(tmp_path / 'nothing.pt'))
    with pytest.raises(FileNotFoundError, match=r'open_clip_config\.json'):
        find_source(f'local-dir:{tmp_path}')
    (tmp_path / 'open_clip_config.json').write_text('{')
    with pytest.raises(ValueError, match=r'open_clip_config\.json'):
        find_source(f'local-dir:{tmp_path}')


def test_exported_tower_loads_in_open_clip_with_the_text_tower_of_its_source(micro_clip, tmp_path):
    tower = build_tower(micro_clip)
    with torch.no_grad():
        for parameter in tower.parameters():
            parameter.add_(1)
    path = export_tower(tower.state_dict(), tower.source, tmp_path / 'tower')
    plain = open_clip.create_model(f'local-dir:{tmp_path / "tower"}').state_dict()
    source = micro_state(micro_clip)
    for key, value in load_file(path).items():
        expected = source[key] + 1 if key.startswith('visual.') else source[key]
        assert value.equal(expected), key
        assert plain[key].equal(expected), key
    assert json.loads((tmp_path / 'tower/open_clip_config.json').read_text())['origin'] == {}
    export_tower(tower.state_dict(), tower.source, tmp_path / 'tower', {'alpha': 0.5})
    assert [p.name for p in tmp_path.iterdir()] == ['tower']
    assert json.loads((tmp_path / 'tower/open_clip_config.json').read_text())['origin'] == {
        'alpha': 0.5
    }


@pytest.mark.parametrize(
    ('damage', 'found'),
    [(lambda value: value * float('nan'), 'NaN or inf'), (lambda value: value + 1j, 'complex')],
)
def test_weights_that_are_no_finite_numbers_are_not_read(damage, found, micro_clip, tmp_path):
    file, key = tmp_path / 'bad.pt', 'visual.conv1.weight'
    state = micro_state(micro_clip)
    torch.save({**state, key: damage(state[key])}, file)
    with pytest.raises(ValueError, match=rf'bad\.pt: 1 of {len(state)} .*{key}, has {found}'):
        build_tower(micro_clip, file)


def test_weights_that_are_no_finite_numbers_are_not_exported(micro_clip, tmp_path):
    tower = build_tower(micro_clip)
    next(tower.parameters()).data[0] = float('inf')
    with pytest.raises(ValueError, match=r'tower: 1 of \d+ tensors are not finite'):
        export_tower(tower.state_dict(), tower.source, tmp_path / 'tower')
    assert list(tmp_path.iterdir()) == []


def test_an_export_to_a_full_disk_leaves_nothing(micro_clip, tmp_path, monkeypatch):
    def full(path, content):
        raise OSError(errno.ENOSPC, 'No space left on device')

    tower = build_tower(micro_clip)
    monkeypatch.setattr(Path, 'write_bytes', full)
    with pytest.raises(OSError, match=r'No space left for .*tower: it needs more than [\d,]+'):
        export_tower(tower.state_dict(), tower.source, tmp_path / 'tower')
    assert list(tmp_path.iterdir()) == []


def test_check_exportable_compares_keys(micro_clip):
    tower = build_tower(micro_clip)
    keys = list(tower.state_dict())
    check_exportable(keys, tower.source)
    for wrong in (keys[1:], [*keys, 'visual.extra']):
        with pytest.raises(ValueError, match=keys[0] if wrong == keys[1:] else 'visual.extra'):
            check_exportable(wrong, tower.source)


def test_export_without_a_checkpoint_raises(tmp_path):
    source = find_source('ViT-B-32')
    with pytest.raises(ValueError, match=r'ViT-B-32.*checkpoint'):
        export_tower({}, source, tmp_path / 'tower')
    assert not (tmp_path / 'tower').exists()
