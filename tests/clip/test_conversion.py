"""Round trips between layouts, bit for bit, and what is refused."""

import itertools
import json
import sys
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import load_file, save_file

from clipself_mm.clip import build_tower, find_source, read_state
from clipself_mm.clip.export import conversion
from clipself_mm.clip.export.conversion import convert_tower
from clipself_mm.clip.export.onnx_export import compare_onnx, export_onnx
from clipself_mm.clip.export.tower_export import write_authors
from clipself_mm.clip.weights.eva_names import to_original
from clipself_mm.clip.weights.hugging_face_config import config_from_hugging_face
from tests.clip.micro_eva import write_micro_eva
from tests.clip.small_towers import small_tower
from tests.commands import call
from tests.factories import write_micro_clip
from tests.forks import Fork
from tests.parity.fixtures import FIXTURES

ROOT = Path(__file__).resolve().parents[2]
LAYOUTS = ('open_clip', 'authors', 'hugging_face')
PAIRS = [*itertools.permutations(LAYOUTS, 2)]


@pytest.fixture(scope='module')
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp('conversion')
    vit, eva = write_micro_clip(folder / 'vit'), write_micro_eva(folder / 'eva')
    path = folder / 'eva' / 'open_clip_config.json'
    return dict(vit=vit, eva=eva, eva_config=path)


def folder_of(model):
    return Path(model.removeprefix('local-dir:'))


def weights_of(model):
    return load_file(folder_of(model) / 'open_clip_model.safetensors')


def written(target):
    """The file with the weights, and what ``convert_tower`` takes as a source."""
    return next(target.glob('*.safetensors')) if target.is_dir() else target


def equal(first, second):
    return first.keys() == second.keys() and all(
        first[key].dtype == second[key].dtype and first[key].equal(second[key]) for key in first
    )


@pytest.mark.parametrize('half', [False, True])
@pytest.mark.parametrize(('first', 'second'), PAIRS)
def test_round_trips_of_a_vit_are_bit_exact(first, second, half, models, tmp_path):
    state = weights_of(models['vit'])
    if half:
        state = {key: value.half() for key, value in state.items()}
    save_file(state, tmp_path / 'start.safetensors')
    source, content = str(tmp_path / 'start.safetensors'), {}
    for step, to in enumerate([first, second, first]):
        target = tmp_path / f'{step}_{to}'
        convert_tower(source, target, to, model=models['vit'])
        source = str(target)
        assert equal(read_state(written(target)), state)
        content[step] = written(target).read_bytes()
    if first != 'authors':  # a zip of torch.save carries the name of its file
        assert content[0] == content[2]


@pytest.mark.parametrize(('first', 'second'), [('open_clip', 'authors'), ('authors', 'open_clip')])
def test_round_trips_of_an_eva02_are_bit_exact(first, second, models, tmp_path):
    state = weights_of(models['eva'])
    source = str(folder_of(models['eva']))
    for step, to in enumerate([first, second, first]):
        target = tmp_path / f'{step}_{to}'
        convert_tower(source, target, to, model=models['eva'])
        source = str(target)
        assert equal(read_state(written(target)), state)


def test_authors_layout_equals_the_released_file():
    golden = load_file(FIXTURES / 'eva_tiny_weights.safetensors')
    head_dim = golden['visual.rope.freqs_cos'].shape[1]
    again = to_original(read_state(FIXTURES / 'eva_tiny_weights.safetensors'), head_dim)
    assert again.keys() == golden.keys()
    for key, value in golden.items():
        if '.rope.' in key:
            torch.testing.assert_close(again[key], value, rtol=0, atol=1e-6)
        else:
            assert again[key].equal(value), key


def test_open_clip_loads_the_exported_folder(models, tmp_path):
    convert_tower(str(folder_of(models['vit'])), tmp_path / 'hf', 'hugging_face')
    convert_tower(str(tmp_path / 'hf'), tmp_path / 'again', 'open_clip')
    first = open_clip.create_model(models['vit']).eval()
    again = open_clip.create_model(f'local-dir:{tmp_path / "again"}').eval()
    images, text = torch.randn(1, 3, 32, 32), torch.randint(0, 49408, (2, 24))
    with torch.no_grad():
        assert again.encode_image(images).equal(first.encode_image(images))
        assert again.encode_text(text).equal(first.encode_text(text))


@pytest.mark.parametrize('quick_gelu', [False, True])
def test_transformers_loads_the_exported_folder(quick_gelu, models, tmp_path):
    transformers = pytest.importorskip('transformers')
    source = tmp_path / 'source'
    source.mkdir()
    content = json.loads((folder_of(models['vit']) / 'open_clip_config.json').read_text())
    content['model_cfg']['quick_gelu'] = quick_gelu
    (source / 'open_clip_config.json').write_text(json.dumps(content))
    save_file(weights_of(models['vit']), source / 'open_clip_model.safetensors')
    convert_tower(str(source), tmp_path / 'hf', 'hugging_face')
    theirs = transformers.CLIPModel.from_pretrained(tmp_path / 'hf').eval()
    ours = open_clip.create_model(f'local-dir:{source}').eval()
    images = torch.randn(1, 3, 32, 32)
    text = torch.randint(1, 49000, (2, 24))
    text[:, 0], text[0, 9], text[1, 23] = 49406, 49407, 49407
    with torch.no_grad():
        found = theirs(pixel_values=images, input_ids=text)
        torch.testing.assert_close(
            found.image_embeds, ours.encode_image(images, normalize=True), rtol=0, atol=1e-6
        )
        torch.testing.assert_close(
            found.text_embeds, ours.encode_text(text, normalize=True), rtol=0, atol=1e-6
        )


def test_architecture_unknown_to_transformers_raises(models, tmp_path):
    with pytest.raises(ValueError, match='timm_model_name'):
        convert_tower(str(folder_of(models['eva'])), tmp_path / 'hf', 'hugging_face')
    assert not (tmp_path / 'hf').exists()


def test_image_tower_is_converted_with_a_given_text_tower(models, tmp_path):
    state = weights_of(models['vit'])
    refined = {f'student.{k}': v + 1 for k, v in state.items() if k.startswith('visual.')}
    torch.save(dict(state_dict=refined), tmp_path / 'run.pth')
    run = str(tmp_path / 'run.pth')
    with pytest.raises(ValueError, match='--text-from'):
        convert_tower(run, tmp_path / 'out', 'open_clip', model=models['vit'])
    assert not (tmp_path / 'out').exists()
    text_from = str(folder_of(models['vit']) / 'open_clip_model.safetensors')
    convert_tower(run, tmp_path / 'out', 'open_clip', model=models['vit'], text_from=text_from)
    found = read_state(written(tmp_path / 'out'))
    expected = {k: v + 1 if k.startswith('visual.') else v for k, v in state.items()}
    assert equal(found, expected)


def test_incomplete_clip_raises(models, tmp_path):
    state = weights_of(models['vit'])
    del state['ln_final.bias']
    save_file(state, tmp_path / 'part.safetensors')
    with pytest.raises(ValueError, match=r'part\.safetensors.*\n.*ln_final\.bias'):
        convert_tower(
            str(tmp_path / 'part.safetensors'), tmp_path / 'out', 'authors', model=models['vit']
        )
    with pytest.raises(ValueError, match='--model'):
        convert_tower(str(tmp_path / 'part.safetensors'), tmp_path / 'out', 'authors')


def test_missing_logit_scale_raises(models, tmp_path):
    state = weights_of(models['vit'])
    scale = state.pop('logit_scale')
    save_file(state, tmp_path / 'part.safetensors')
    arguments = (str(tmp_path / 'part.safetensors'), tmp_path / 'out', 'open_clip', models['vit'])
    with pytest.raises(ValueError, match=r'part\.safetensors.*\n.*logit_scale$'):
        convert_tower(*arguments)
    more = state | dict(logit_scale=scale, logit_bias=torch.zeros(()))
    save_file(more, tmp_path / 'part.safetensors')
    with pytest.raises(ValueError, match=r'part\.safetensors.*\n.*logit_bias$'):
        convert_tower(*arguments)
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize('to', [*LAYOUTS, 'onnx'])
def test_openai_weights_with_another_activation_raise(to, models, tmp_path):
    sizes = {key: torch.tensor(1) for key in ('input_resolution', 'context_length', 'vocab_size')}
    torch.save(weights_of(models['vit']) | sizes, tmp_path / 'openai.pt')
    with pytest.raises(ValueError, match=r'openai\.pt.*QuickGELU'):
        convert_tower(str(tmp_path / 'openai.pt'), tmp_path / 'out', to, model=models['vit'])
    refined = {k: v for k, v in weights_of(models['vit']).items() if k.startswith('visual.')}
    save_file(refined, tmp_path / 'tower.safetensors')
    if to != 'onnx':
        with pytest.raises(ValueError, match=r'openai\.pt.*QuickGELU'):
            convert_tower(
                str(tmp_path / 'tower.safetensors'),
                tmp_path / 'out',
                to,
                model=models['vit'],
                text_from=str(tmp_path / 'openai.pt'),
            )
    assert not (tmp_path / 'out').exists()


def test_architecture_unknown_to_the_official_implementation_raises(tmp_path):
    source = find_source('convnext_tiny')
    state = {'visual.trunk.stem.0.weight': torch.zeros(1)}
    with pytest.raises(ValueError, match='convnext_tiny'):
        write_authors(state, source, tmp_path / 'out.pt')
    assert not any(tmp_path.iterdir())


class Payload:
    ran = False

    def __reduce__(self):
        return setattr, (Payload, 'ran', True)


def test_pickle_is_run_only_with_trust_pickle(models, tmp_path):
    state = weights_of(models['vit'])
    torch.save(dict(state_dict=state, config=Payload()), tmp_path / 'odd.pt')
    arguments = (str(tmp_path / 'odd.pt'), tmp_path / 'out', 'open_clip', models['vit'])
    with pytest.raises(ValueError, match=r'odd\.pt.*setattr.*--trust-pickle'):
        convert_tower(*arguments)
    assert not Payload.ran
    convert_tower(*arguments, trust_pickle=True)
    assert Payload.ran
    assert equal(read_state(written(tmp_path / 'out')), state)


def test_folder_is_not_replaced_by_a_file(models, tmp_path):
    (tmp_path / 'mine').mkdir()
    with pytest.raises(ValueError, match=r'mine.*\bfile\b'):
        convert_tower(str(folder_of(models['vit'])), tmp_path / 'mine', 'authors')
    (tmp_path / 'file').write_text('mine')
    with pytest.raises(ValueError, match=r'file.*\bfolder\b'):
        convert_tower(str(folder_of(models['vit'])), tmp_path / 'file', 'open_clip')
    assert (tmp_path / 'file').read_text() == 'mine'


@pytest.mark.parametrize('to', ['open_clip', 'hugging_face'])
def test_folder_with_other_files_is_not_replaced(to, models, tmp_path):
    source = str(folder_of(models['vit']))
    (tmp_path / 'out').mkdir()
    convert_tower(source, tmp_path / 'out', to)
    convert_tower(source, tmp_path / 'out', 'open_clip')  # what was written may be replaced
    for name in ('epoch_6.pth', 'run'):
        other = tmp_path / 'out' / name
        other.mkdir() if name == 'run' else other.write_text('mine')
    with pytest.raises(ValueError, match=r'out.*epoch_6\.pth, run'):
        convert_tower(source, tmp_path / 'out', to)
    assert (tmp_path / 'out' / 'epoch_6.pth').read_text() == 'mine'


@pytest.mark.parametrize('kind', ['vit', 'eva'])
def test_onnx_gives_the_dense_map_of_the_tower(kind, models, tmp_path):
    onnxruntime = pytest.importorskip('onnxruntime')
    tower = build_tower(models[kind]).eval()
    for size in [(32, 32), (48, 80)]:
        target = tmp_path / f'{size[0]}.onnx'
        lines = convert_tower(str(folder_of(models[kind])), target, 'onnx', size=size)
        assert f'{size[0]} x {size[1]}' in lines[-1]
        pixels = torch.rand(3, 3, *size)
        mean, std = (torch.tensor(v).view(3, 1, 1) for v in (tower.mean, tower.std))
        with torch.no_grad():
            expected = tower.encode_dense((pixels - mean) / std).numpy()
        session = onnxruntime.InferenceSession(str(target), providers=['CPUExecutionProvider'])
        (found,) = session.run(None, {'pixels': pixels.numpy()})
        assert found.shape == expected.shape == (3, 16, size[0] // 8, size[1] // 8)
        assert np.abs(found - expected).max() < 1e-3
    with pytest.raises(ValueError, match=r'x\.onnx.*30 x 32.*\b8\b'):
        convert_tower(str(folder_of(models[kind])), tmp_path / 'x.onnx', 'onnx', size=(30, 32))


@pytest.mark.slow
@pytest.mark.parametrize('kind', ['resnet', 'siglip', 'pe_core', 'mobileclip_b', 'clipa'])
def test_onnx_of_other_architectures(kind, tmp_path):
    pytest.importorskip('onnxruntime')
    tower = small_tower(kind)
    size = (2 * tower.patch_size, 3 * tower.patch_size)
    export_onnx(tower, tmp_path / 'dense.onnx', size)
    assert compare_onnx(tower, tmp_path / 'dense.onnx', size) < 1e-4


@pytest.mark.parametrize('difference', [2e-3, float('nan')])
def test_onnx_file_that_differs_is_removed(difference, models, tmp_path, monkeypatch):
    pytest.importorskip('onnxruntime')
    monkeypatch.setattr(conversion, 'compare_onnx', lambda *_: difference)
    with pytest.raises(ValueError, match=r'dense\.onnx.*(2\.0e-03|nan).*1e-03'):
        convert_tower(str(folder_of(models['vit'])), tmp_path / 'dense.onnx', 'onnx')
    assert not any(tmp_path.iterdir())


def test_tool_fails_without_onnxruntime(models, tmp_path, monkeypatch, run_tool):
    monkeypatch.setitem(sys.modules, 'onnxruntime', None)
    target = tmp_path / 'dense.onnx'
    with pytest.raises(SystemExit, match=r'dense\.onnx.*onnxruntime'):
        run_tool('convert_tower', folder_of(models['vit']), target, '--to', 'onnx')
    assert target.is_file()


@pytest.mark.parametrize(('width', 'inner'), [(176, 240), (208, 1008), (768, 3072), (1152, 4304)])
def test_mlp_ratio_gives_the_inner_width(width, inner):
    """240 / 176 * 176 is 239.99 in floating point, of which open_clip takes the whole part."""
    part = dict(hidden_size=width, intermediate_size=inner)
    config = config_from_hugging_face(dict(model_type='clip', vision_config=part, text_config=part))
    for cfg in (config['vision_cfg'], config['text_cfg']):
        assert int(cfg['width'] * cfg['mlp_ratio']) == inner


@pytest.mark.slow
def test_tool_prints_what_it_read_and_wrote(models, tmp_path):
    tool = ROOT / 'tools/convert_tower.py'
    words = [folder_of(models['vit']), 'a.pt', '--to', 'authors']
    done = call([sys.executable, tool, *words], tmp_path)
    assert 'keys of open_clip' in done.stdout
    assert 'a.pt' in done.stdout.splitlines()[-1]
    words = ['none.pt', 'x.pt', '--to', 'authors', '--model', 'ViT-B-16']
    failed = Fork([tool, *words], tmp_path).wait()
    assert failed.returncode == 1
    assert 'none.pt' in failed.stderr
    assert 'Traceback' not in failed.stderr
