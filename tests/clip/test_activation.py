"""A CLIP with QuickGELU does not load under a model with GELU, nor the other way round."""

import json
import shutil
from pathlib import Path

import open_clip
import pytest
import torch
from mmengine.runner.checkpoint import (
    get_state_dict,
    load_checkpoint,
    save_checkpoint,
    weights_to_cpu,
)
from safetensors.torch import load_file, save_file

from clipself_mm.clip import TextTower, activation, build_tower, read_state
from clipself_mm.clip.export.conversion import convert_tower
from clipself_mm.clip.export.tower_export import export_tower
from tests.clip.micro_eva import write_micro_eva
from tests.detection.tiny_fvit import build_fvit
from tests.distillers.micro_clipself import make_model

IMAGES = torch.randn(1, 3, 32, 48, generator=torch.Generator().manual_seed(0))
REFUSED = r'trained with {}, local-dir:.* has .*"quick_gelu": {} in its configuration'


def folder_of(model):
    return Path(model.removeprefix('local-dir:'))


@pytest.fixture
def quick(micro_clip, tmp_path):
    """The micro CLIP with QuickGELU."""
    shutil.copytree(folder_of(micro_clip), tmp_path / 'quick')
    path = tmp_path / 'quick' / 'open_clip_config.json'
    content = json.loads(path.read_text())
    content['model_cfg']['quick_gelu'] = True
    path.write_text(json.dumps(content))
    return f'local-dir:{tmp_path / "quick"}'


@pytest.fixture
def said(monkeypatch):
    lines = []
    monkeypatch.setattr(activation, 'print_log', lambda text, **_: lines.append(text))
    activation._say_once.cache_clear()
    return lines


def save_model(model, path):
    """As mmengine's runner does."""
    save_checkpoint(dict(state_dict=weights_to_cpu(get_state_dict(model)), meta={}), str(path))
    return path


def converted(to):
    def write(model, folder):
        convert_tower(model, folder / 'out', to)
        out = folder / 'out'
        return next(out.glob('*.safetensors')) if out.is_dir() else out

    return write


def moved(write):
    """The file alone, under another name."""

    def write_and_move(model, folder):
        path = write(model, folder)
        return path.rename(folder / f'alone{path.suffix}')

    return write_and_move


def export(model, folder):
    tower = build_tower(model)
    return export_tower(tower.state_dict(), tower.source, folder / 'tower')


WRITERS = {
    'open_clip': converted('open_clip'),
    'authors': converted('authors'),
    'hugging_face': converted('hugging_face'),
    'open_clip, moved': moved(converted('open_clip')),
    'hugging_face, moved': moved(converted('hugging_face')),
    'tower of a run': export,
    'checkpoint of a run': lambda m, f: save_model(make_model(m), f / 'run.pth'),
    'detector': lambda m, f: save_model(build_fvit(m), f / 'fvit.pth'),
    'state dict': lambda m, f: torch.save(build_tower(m).state_dict(), f / 's.pt') or f / 's.pt',
}
WITHOUT_TEXT = ('checkpoint of a run', 'detector', 'state dict')


@pytest.mark.parametrize('name', WRITERS)
def test_what_we_write_is_refused_under_the_other_activation(
    name, quick, micro_clip, tmp_path, said
):
    for model, other, words in [
        (quick, micro_clip, ('QuickGELU', 'true')),
        (micro_clip, quick, ('GELU', 'false')),
    ]:
        folder = tmp_path / words[0]
        folder.mkdir()
        path = str(WRITERS[name](model, folder))
        with pytest.raises(ValueError, match=REFUSED.format(*words)) as raised:
            build_tower(other, path)
        assert str(raised.value).startswith(path)
        if name not in WITHOUT_TEXT:
            with pytest.raises(ValueError, match=REFUSED.format(*words)):
                TextTower(other, path)
            with pytest.raises(ValueError, match=REFUSED.format(*words)):
                convert_tower(path, folder / 'again', 'open_clip', model=other)
        expected, found = build_tower(model).eval(), build_tower(model, path).eval()
        with torch.no_grad():
            assert found.encode_dense(IMAGES).equal(expected.encode_dense(IMAGES))
    assert not said


def test_activation_changes_the_dense_map(quick, micro_clip):
    """What the tests above guard: one set of weights, two results."""
    with torch.no_grad():
        maps = [build_tower(model).eval().encode_dense(IMAGES) for model in (quick, micro_clip)]
    assert (maps[0] - maps[1]).abs().max() > 1e-4


@pytest.mark.parametrize('build', [build_fvit, make_model], ids=['fvit', 'clipself'])
def test_mmengine_refuses_a_checkpoint_of_the_other_activation(build, quick, micro_clip, tmp_path):
    """As ``load_from``, ``--resume``, ``tools/test.py`` and the inferencers load."""
    path = str(save_model(build(quick), tmp_path / 'x.pth'))
    load_checkpoint(build(quick), path)
    with pytest.raises(
        ValueError, match=r'checkpoint, .*(tower|student)\.\*: .*QuickGELU.*has GELU'
    ):
        load_checkpoint(build(micro_clip), path)


def test_file_in_a_folder_has_the_activation_of_its_configuration(quick, micro_clip, tmp_path):
    with pytest.raises(ValueError, match=r'open_clip_model\.safetensors.*QuickGELU'):
        build_tower(micro_clip, str(folder_of(quick) / 'open_clip_model.safetensors'))
    convert_tower(quick, tmp_path / 'hf', 'hugging_face')
    path = tmp_path / 'hf' / 'model.safetensors'
    save_file(load_file(path), path, {'format': 'pt'})
    with pytest.raises(ValueError, match=r'hf/model\.safetensors.*QuickGELU'):
        build_tower(micro_clip, str(path))


def test_advice_is_the_name_of_the_variant(tmp_path):
    torch.save(dict(state_dict={'visual.proj': torch.ones(1)}, quick_gelu=True), tmp_path / 'q.pt')
    with pytest.raises(ValueError, match=r'use the model "ViT-B-16-quickgelu"'):
        build_tower('ViT-B-16', str(tmp_path / 'q.pt'))
    torch.save(dict(state_dict={'visual.proj': torch.ones(1)}, quick_gelu=False), tmp_path / 'g.pt')
    with pytest.raises(ValueError, match=r'use the model "ViT-B-16"$'):
        build_tower('ViT-B-16-quickgelu', str(tmp_path / 'g.pt'))


def test_unknown_activation_is_said_once(said, micro_clip, quick, tmp_path):
    path = str(tmp_path / 'foreign.pt')
    state = load_file(folder_of(micro_clip) / 'open_clip_model.safetensors')
    torch.save(state, path)
    for model, name in ((micro_clip, 'GELU'), (quick, 'QuickGELU')):
        build_tower(model, path)
        TextTower(model, path)
        line = said.pop()
        assert line.startswith(f'{path}: the activation cannot be told from this file; {model} has')
        assert f' has {name} ' in line
        assert not said
        build_tower(model, path)
    assert not said


def test_towers_of_one_activation_say_nothing(said, tmp_path):
    eva = write_micro_eva(tmp_path / 'eva')
    torch.save(read_state(folder_of(eva) / 'open_clip_model.safetensors'), tmp_path / 'eva.pt')
    build_tower(eva, str(tmp_path / 'eva.pt'))
    assert not said


def test_record_does_not_disturb_other_loaders(quick, tmp_path):
    """torch's restricted loader, which the official implementation calls, and open_clip's."""
    convert_tower(quick, tmp_path / 'exp.pt', 'authors')
    content = torch.load(tmp_path / 'exp.pt', weights_only=True)
    state = load_file(folder_of(quick) / 'open_clip_model.safetensors')
    assert content['state_dict'].keys() == state.keys()
    model = open_clip.create_model(quick, load_weights=False)
    open_clip.load_checkpoint(model, str(tmp_path / 'exp.pt'))
    assert all(value.equal(state[key]) for key, value in model.state_dict().items())
