"""Names, tags, folders and the hub: what is found, and what is said where nothing is."""

import json
from fnmatch import fnmatch
from pathlib import Path

import huggingface_hub
import pytest
from safetensors.torch import load_file, save_file

from clipself_mm.clip import build_tower, find_source
from clipself_mm.clip.export.conversion import convert_tower


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub cache of one's own and no network; returns a function that puts a folder into it."""
    monkeypatch.setattr(huggingface_hub.constants, 'HF_HUB_CACHE', str(tmp_path / 'hub'))
    monkeypatch.setattr(huggingface_hub.constants, 'HF_HUB_OFFLINE', True)
    monkeypatch.setenv('HF_HUB_CACHE', str(tmp_path / 'hub'))

    def put(repository, files):
        home = tmp_path / 'hub' / f'models--{repository.replace("/", "--")}'
        snapshot = home / 'snapshots' / ('0' * 40)
        snapshot.mkdir(parents=True)
        (home / 'refs').mkdir()
        (home / 'refs' / 'main').write_text('0' * 40)
        for name, content in files.items():
            (snapshot / name).write_bytes(content)
        return snapshot

    return put


def files_of(model, *names):
    folder = Path(model.removeprefix('local-dir:'))
    return {name: (folder / name).read_bytes() for name in names}


def test_hub_folder_is_found_in_the_cache(hub, micro_clip):
    names = ('open_clip_config.json', 'open_clip_model.safetensors')
    snapshot = hub('some/clip', files_of(micro_clip, *names))
    source = find_source('hf-hub:some/clip')
    assert source.checkpoint == str(snapshot / names[1])
    assert build_tower('hf-hub:some/clip').dim == 16


def test_repository_with_both_layouts_is_read_as_open_clip(hub, micro_clip, tmp_path, monkeypatch):
    """Only one set of weights is fetched, of the kind that open_clip's configuration is for."""
    files = files_of(micro_clip, 'open_clip_config.json', 'open_clip_model.safetensors')
    served = {
        'open_clip_config.json': files['open_clip_config.json'],
        'config.json': b'{"model_type": "clip"}',
        'open_clip_pytorch_model.bin': files['open_clip_model.safetensors'],
        'model.safetensors': b'of transformers',
        'pytorch_model.bin': b'of transformers',
    }

    def snapshot_download(repository, allow_patterns):
        for name, content in served.items():
            if any(fnmatch(name, pattern) for pattern in allow_patterns):
                (tmp_path / name).write_bytes(content)
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, 'snapshot_download', snapshot_download)
    source = find_source('hf-hub:some/clip')
    assert source.checkpoint == str(tmp_path / 'open_clip_pytorch_model.bin')
    assert sorted(item.name for item in tmp_path.iterdir()) == [
        'config.json',
        'open_clip_config.json',
        'open_clip_pytorch_model.bin',
    ]


def test_tag_of_a_model_without_activation_variant_is_accepted(hub):
    """That of roberta-ViT-B-32 does not say that it was trained with QuickGELU; its config does."""
    with pytest.raises(FileNotFoundError, match=r'laion2b_s12b_b32k.*roberta-ViT-B-32'):
        find_source('roberta-ViT-B-32', 'laion2b_s12b_b32k')


@pytest.mark.parametrize('name', ['no_such_package/clip', '', 'json.decoder/clip'])
def test_unknown_package_raises(name):
    with pytest.raises(FileNotFoundError, match=f'pkg:{name}.*PACKAGE/FOLDER'):
        find_source(f'pkg:{name}')


@pytest.mark.parametrize('name', ['open_clip_config.json', 'config.json'])
@pytest.mark.parametrize('text', ['[]', '"clip"', '{"model_cfg": 1}', 'ü'])
def test_invalid_configuration_raises(name, text, tmp_path):
    (tmp_path / name).write_text(text, encoding='utf-8')
    with pytest.raises(ValueError, match=f'/{name}'):
        find_source(f'local-dir:{tmp_path}')


def test_failed_download_raises_with_the_url(hub):
    with pytest.raises(FileNotFoundError, match=r'https://huggingface\.co/some/clip.*local-dir:'):
        find_source('hf-hub:some/clip')
    with pytest.raises(
        FileNotFoundError, match=r'laion2b_s34b_b88k.*ViT-B-16.*huggingface\.co/laion/CLIP-ViT'
    ):
        find_source('ViT-B-16', 'laion2b_s34b_b88k')


def test_pretrained_tag_is_found_in_the_cache(hub):
    snapshot = hub('timm/ViT-B-16-SigLIP', {'open_clip_model.safetensors': b'weights'})
    source = find_source('ViT-B-16-SigLIP', 'webli')
    assert source.checkpoint == str(snapshot / 'open_clip_model.safetensors')
    assert source.preprocess == dict(mean=[0.5] * 3, std=[0.5] * 3)


def test_tag_of_the_other_activation_raises():
    with pytest.raises(ValueError, match='ViT-B-16-quickgelu'):
        find_source('ViT-B-16', 'openai')


def test_missing_file_raises_with_the_pretrained_tags(tmp_path):
    with pytest.raises(FileNotFoundError) as raised:
        find_source('EVA02-B-16', str(tmp_path / 'eva.pt'))
    assert f'{tmp_path}/eva.pt' in str(raised.value)
    assert 'merged2b_s8b_b131k (https://huggingface.co/timm/eva02_base' in str(raised.value)


def test_normalisation_is_that_of_the_model():
    assert find_source('ViT-B-16-SigLIP').preprocess['mean'] == [0.5, 0.5, 0.5]
    assert find_source('ViT-B-16').preprocess['mean'] == [0.48145466, 0.4578275, 0.40821073]


def test_folder_of_transformers_is_a_source(micro_clip, tmp_path):
    convert_tower(micro_clip, tmp_path / 'hf', 'hugging_face')
    source, first = find_source(f'local-dir:{tmp_path / "hf"}'), find_source(micro_clip)
    expected = first.config['vision_cfg'] | dict(mlp_ratio=4.0)
    assert source.config['vision_cfg'] == expected
    assert source.preprocess['mean'] == first.preprocess['mean']
    (tmp_path / 'hf' / 'config.json').write_text(json.dumps(dict(model_type='siglip')))
    with pytest.raises(ValueError, match=r'config\.json.*siglip'):
        find_source(f'local-dir:{tmp_path / "hf"}')


def test_folder_without_weights_raises(micro_clip, tmp_path):
    folder = tmp_path / 'clip'
    folder.mkdir()
    content = files_of(micro_clip, 'open_clip_config.json')['open_clip_config.json']
    (folder / 'open_clip_config.json').write_bytes(content)
    with pytest.raises(FileNotFoundError, match=r'open_clip_model\.safetensors.*local-dir:'):
        find_source(f'local-dir:{folder}')
    state = load_file(f'{micro_clip.removeprefix("local-dir:")}/open_clip_model.safetensors')
    save_file(state, tmp_path / 'elsewhere.safetensors')
    source = find_source(f'local-dir:{folder}', str(tmp_path / 'elsewhere.safetensors'))
    assert source.checkpoint == str(tmp_path / 'elsewhere.safetensors')
