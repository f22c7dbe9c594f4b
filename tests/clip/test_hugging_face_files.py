"""What transformers' ``save_pretrained`` writes: shards are read, other models are named."""

import json
from pathlib import Path

import huggingface_hub
import pytest
import torch
from safetensors.torch import load_file, save_file

from clipself_mm.clip import TextTower, build_tower, find_source, read_state
from clipself_mm.clip.export.conversion import convert_tower

transformers = pytest.importorskip('transformers')

SMALL = dict(hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64)
VISION = dict(SMALL, image_size=32, patch_size=8)


def equal(first, second):
    return first.keys() == second.keys() and all(first[k].equal(second[k]) for k in first)


@pytest.fixture
def theirs(micro_clip, tmp_path):
    """The micro CLIP as transformers' model."""
    convert_tower(micro_clip, tmp_path / 'whole', 'hugging_face')
    return transformers.CLIPModel.from_pretrained(tmp_path / 'whole')


@pytest.fixture(params=[True, False], ids=['safetensors', 'bin'])
def shards(request, theirs, tmp_path):
    """A folder of the micro CLIP in many files, and the path of their index."""
    folder = tmp_path / 'shards'
    theirs.save_pretrained(folder, max_shard_size='20KB', safe_serialization=request.param)
    (index,) = folder.glob('*.index.json')
    assert len(list(folder.glob('*-of-*'))) > 2
    return folder, index


def test_shards_give_the_same_clip(shards, micro_clip):
    folder, index = shards
    whole = read_state(Path(micro_clip.removeprefix('local-dir:')) / 'open_clip_model.safetensors')
    assert find_source(f'local-dir:{folder}').checkpoint == str(index)
    assert equal(read_state(index), whole)
    assert build_tower(f'local-dir:{folder}').visual.proj.equal(whole['visual.proj'])
    assert TextTower(f'local-dir:{folder}').text.text_projection.equal(whole['text_projection'])
    assert build_tower(micro_clip, str(index)).visual.proj.equal(whole['visual.proj'])


def test_missing_shard_raises_with_its_name(shards):
    folder, index = shards
    (gone,) = folder.glob('*-00002-of-*')
    gone.unlink()
    with pytest.raises(FileNotFoundError, match=rf'^{gone}: no such file; {index.name} lists it$'):
        build_tower(f'local-dir:{folder}')


def test_shard_of_other_tensors_raises(shards):
    folder, _ = shards
    first, second = sorted(folder.glob('*-of-*'))[:2]
    first.write_bytes(second.read_bytes())
    with pytest.raises(ValueError, match=rf'^{first}: its tensors are not those'):
        build_tower(f'local-dir:{folder}')


def test_one_shard_in_place_of_the_index_raises(shards, micro_clip):
    folder, index = shards
    part = sorted(folder.glob('*-of-*'))[0]
    with pytest.raises(ValueError, match=rf'^{part}: is a part of the weights.*{index}$'):
        build_tower(micro_clip, str(part))


@pytest.mark.parametrize(
    'content',
    [
        {},
        [],
        {'weight_map': {}},
        {'weight_map': ['a']},
        {'weight_map': {'a': 1}},
        {'weight_map': {'a': '../outside.bin'}},
        {'weight_map': {'a': '/outside.bin'}},
        {'weight_map': {'a': '..\\outside.bin'}},
        {'weight_map': {'a': '..'}},
        {'weight_map': {'a': 'x\0y'}},
    ],
)
def test_index_that_names_no_file_beside_it_raises(content, tmp_path):
    torch.save({'a': torch.ones(1)}, tmp_path / 'outside.bin')
    (tmp_path / 'in').mkdir()
    index = tmp_path / 'in' / 'pytorch_model.bin.index.json'
    index.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=rf'^{index}: expected under "weight_map".*same folder$'):
        read_state(index)


def test_shards_are_fetched_from_the_hub(shards, tmp_path, monkeypatch):
    """Only what the index names is fetched, after the index was seen."""
    folder, index = shards
    target = tmp_path / 'snapshot'
    target.mkdir()

    def snapshot_download(repository, allow_patterns):
        for pattern in allow_patterns:
            for file in folder.glob(pattern):
                (target / file.name).write_bytes(file.read_bytes())
        return str(target)

    monkeypatch.setattr(huggingface_hub, 'snapshot_download', snapshot_download)
    assert find_source('hf-hub:some/clip').checkpoint == str(target / index.name)
    build_tower('hf-hub:some/clip')
    assert {f.name for f in target.iterdir()} == {f.name for f in folder.iterdir()}


def other_model(kind):
    clip, siglip = (
        transformers.CLIPVisionConfig(**VISION),
        transformers.SiglipVisionConfig(**VISION),
    )
    text = transformers.CLIPTextConfig(**SMALL, vocab_size=100)
    siglip_text = dict(SMALL, vocab_size=100)
    return {
        'image': lambda: transformers.CLIPVisionModel(clip),
        'projected image': lambda: transformers.CLIPVisionModelWithProjection(clip),
        'text': lambda: transformers.CLIPTextModel(text),
        'projected text': lambda: transformers.CLIPTextModelWithProjection(text),
        'siglip': lambda: transformers.SiglipModel(
            transformers.SiglipConfig(vision_config=siglip.to_dict(), text_config=siglip_text)
        ),
        'siglip image': lambda: transformers.SiglipVisionModel(siglip),
    }[kind]()


@pytest.mark.parametrize(
    ('kind', 'found'),
    [
        ('image', 'image tower'),
        ('projected image', 'image tower'),
        ('text', 'text tower'),
        ('projected text', 'text tower'),
        ('siglip', 'SigLIP'),
        ('siglip image', 'SigLIP'),
    ],
)
def test_other_models_are_named_in_one_sentence(kind, found, micro_clip, tmp_path):
    folder = tmp_path / 'other'
    other_model(kind).save_pretrained(folder)
    refused = [(f'local-dir:{folder}', None, folder / 'config.json')]
    if kind != 'projected image':
        refused += [(micro_clip, str(folder / 'model.safetensors'), folder / 'model.safetensors')]
    for model, checkpoint, file in refused:
        with pytest.raises(ValueError, match=rf'^{file}: .*\bis .*{found}.*; expected .*CLIPModel'):
            build_tower(model, checkpoint)


def test_projected_image_tower_is_a_checkpoint(theirs, micro_clip, tmp_path):
    alone = transformers.CLIPVisionModelWithProjection(theirs.config.vision_config)
    alone.load_state_dict(theirs.state_dict(), strict=False)
    alone.save_pretrained(tmp_path / 'alone')
    file = str(tmp_path / 'alone' / 'model.safetensors')
    expected = build_tower(micro_clip).state_dict()
    assert equal(build_tower(micro_clip, file).state_dict(), expected)
    with pytest.raises(ValueError, match=r'alone/model\.safetensors.*text tower'):
        TextTower(micro_clip, file)


def test_keys_without_the_inner_level_are_named(theirs, micro_clip, tmp_path):
    state = transformers.CLIPVisionModel(theirs.config.vision_config).state_dict()
    state = {key.removeprefix('vision_model.'): value for key, value in state.items()}
    save_file(state, tmp_path / 'inner.safetensors')
    with pytest.raises(ValueError, match=r'inner\.safetensors: is an image tower.*CLIPModel'):
        build_tower(micro_clip, str(tmp_path / 'inner.safetensors'))


@pytest.mark.parametrize('with_config', [False, True])
def test_adapter_is_named(with_config, theirs, micro_clip, tmp_path):
    folder = tmp_path / 'lora'
    folder.mkdir()
    if with_config:
        theirs.config.save_pretrained(folder)
    (folder / 'adapter_config.json').write_text('{"peft_type": "LORA", "r": 2}')
    place = 'base_model.model.vision_model.encoder.layers.0.self_attn.q_proj'
    state = {
        f'{place}.lora_A.weight': torch.ones(2, 32),
        f'{place}.lora_B.weight': torch.ones(32, 2),
    }
    file = folder / 'adapter_model.safetensors'
    save_file(state, file)
    for model, checkpoint in ((f'local-dir:{folder}', None), (micro_clip, str(file))):
        with pytest.raises(ValueError, match=rf'^{file}: is an adapter.*merge_and_unload'):
            build_tower(model, checkpoint)


def test_header_of_an_exported_file_is_that_of_safetensors(theirs, tmp_path):
    """Written by hand, since safetensors orders several entries at random."""
    file = tmp_path / 'whole' / 'model.safetensors'
    content = file.read_bytes()
    size = int.from_bytes(content[:8], 'little')
    assert size % 8 == 0
    assert json.loads(content[8 : 8 + size])['__metadata__']['format'] == 'pt'
    assert equal(load_file(file), dict(theirs.state_dict()))
