"""Towers, checkpoints of trainings and class embeddings, mutated."""

import io
import json
import struct
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from mmengine.logging import HistoryBuffer, MessageHub
from mmengine.runner import CheckpointLoader
from safetensors.torch import save, save_file

import clipself_mm.checkpoint_loading  # noqa: F401  registers the loaders
from clipself_mm.clip import build_tower, text_tower
from clipself_mm.clip.class_embeddings import (
    load_class_embeddings,
    read_metadata,
    read_named_embeddings,
    save_class_embeddings,
)
from clipself_mm.clip.embedding_metadata import EmbeddingMetadata
from clipself_mm.clip.text_tower import TextTower
from clipself_mm.clip.weights.hugging_face_config import config_to_hugging_face
from clipself_mm.clip.weights.hugging_face_names import to_hugging_face
from clipself_mm.clip.weights.weight_file import read_weight_file
from tests.fuzz.harness import form, nothing, same_form
from tests.fuzz.mutations import (
    bytes_mutations,
    json_mutations,
    pickle_injections,
    whole_files,
)

CONFIG = {
    'model_cfg': {
        'embed_dim': 8,
        'quick_gelu': False,
        'vision_cfg': dict(image_size=16, layers=1, width=16, head_width=8, patch_size=8),
        'text_cfg': dict(context_length=8, vocab_size=16, width=8, heads=1, layers=1),
    },
    'preprocess_cfg': {'mean': [0.5, 0.4, 0.3], 'std': [0.2, 0.3, 0.1]},
}
WEIGHTS = 'open_clip_model.safetensors'
PICKLE = 'open_clip_pytorch_model.bin'
HF_WEIGHTS = 'model.safetensors'
CLASSES = ('café', 'cat', 'dog')


def saved(content, zipped=True):
    buffer = io.BytesIO()
    torch.save(content, buffer, _use_new_zipfile_serialization=zipped)
    return buffer.getvalue()


@pytest.fixture(scope='module')
def state(tmp_path_factory):
    """Weights of a CLIP of 34 kB."""
    folder = tmp_path_factory.mktemp('clip')
    (folder / 'open_clip_config.json').write_text(json.dumps(CONFIG))
    torch.manual_seed(0)
    return dict(open_clip.create_model(f'local-dir:{folder}', load_weights=False).state_dict())


@pytest.fixture(autouse=True)
def no_tokenizer(monkeypatch):
    monkeypatch.setattr(text_tower, 'build_tokenizer', lambda source: None)


@pytest.fixture
def clip(tmp_path, state):
    """A folder of a CLIP without weights."""
    folder = tmp_path / 'clip'
    folder.mkdir()
    (folder / 'open_clip_config.json').write_text(json.dumps(CONFIG))
    return folder


def towers(path):
    """What is used of a folder of a CLIP: both towers and the normalisation."""
    tower = build_tower(f'local-dir:{path.parent}')
    text = TextTower(f'local-dir:{path.parent}')
    sizes = tower.patch_size, tower.image_size, tower.dim
    numbers = [float(number) for number in (*tower.mean, *tower.std)]
    return tower.state_dict(), text.state_dict(), sizes, numbers


def header_of(content):
    """Length, header and number of bytes of a safetensors file: all but its numbers."""
    end = 8 + int.from_bytes(content[:8], 'little')
    return content[:end], len(content)


def rezipped(content, **entries):
    """A zip of `torch.save` with other entries, their check sums right."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(buffer, 'w') as new:
        for entry in old.infolist():
            name = entry.filename.rpartition('/')[2].replace('.', '_')
            new.writestr(entry.filename, entries.get(name, old.read(entry)))
    return buffer.getvalue()


def pickle_of(content):
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        return file.read(next(name for name in file.namelist() if name.endswith('data.pkl')))


def false_sizes(content):
    """Zip files whose tables tell other sizes, offsets and methods than their entries have."""
    for magic, fields in ((b'PK\1\2', (10, 20, 24, 28, 42)), (b'PK\3\4', (8, 18, 22, 26, 28))):
        for number, field in enumerate(fields):
            for value in (2**31 - 1, 2**32 - 2, 2**32 - 1):
                changed, start = bytearray(content), -1
                for _ in range(1 + number):
                    start = content.index(magic, start + 1)
                struct.pack_into('<I', changed, start + field, value)
                yield f'{magic!r} {field} {value}', bytes(changed)


def repickled(content, trap, count):
    """Zip files with a mutated pickle."""
    packed = pickle_of(content)
    for label, changed in bytes_mutations(packed, count):
        yield f'pickle {label}', rezipped(content, data_pkl=changed)
    for label, changed in pickle_injections(packed, trap, 16):
        yield label, rezipped(content, data_pkl=changed)


def test_safetensors_of_a_tower(clip, state, check):
    path, content = clip / WEIGHTS, save(state)
    path.write_bytes(content)
    end = len(header_of(content)[0])

    def numbers_only(original, result, changed):
        return header_of(changed) == header_of(content) and same_form(original, result, changed)

    cases = [*whole_files(content), *bytes_mutations(content, 30)]
    cases += [(f'header {n}', text) for n, text in bytes_mutations(content, 30, last=end)]
    found = check(path, towers, cases, numbers_only)
    assert found['different'] > 5
    assert found['error'] > 30


def test_header_of_safetensors(clip, state, check):
    path, content = clip / WEIGHTS, save(state)
    path.write_bytes(content)
    end = len(header_of(content)[0])
    tree = json.loads(content[8:end])
    some = {key: tree[key] for key in ('visual.proj', 'logit_scale')}
    rest = {key: value for key, value in tree.items() if key not in some}
    wrong = ('I32', 'F16', 'F64', 'U8', 0, -1, None, [8, 16], [2**62, 2**62], [[]])

    def cases():
        for label, text in json_mutations(some, wrong=wrong):
            head = text[:-1] + b', ' + json.dumps(rest).encode()[1:]
            yield label, struct.pack('<Q', len(head)) + head + content[end:]

    found = check(path, towers, cases())
    assert found['error'] > 40


@pytest.mark.parametrize('zipped', [True, False])
def test_pickle_of_a_tower(zipped, clip, state, check):
    path, content = clip / PICKLE, saved(OrderedDict(state), zipped)
    path.write_bytes(content)
    cases = [*whole_files(content), *bytes_mutations(content, 30)]
    if zipped:
        found = check(path, towers, [*cases, *false_sizes(content)])
        assert found['error'] > 40
    else:  # nothing tells of a changed number
        injected = pickle_injections(content, check.trap, 8)
        found = check(path, towers, [*cases, *injected], same_form)
        assert found['error'] > 20


def test_pickle_within_a_zip_of_a_tower(clip, state, check):
    path, content = clip / PICKLE, saved(state)
    path.write_bytes(content)
    found = check(path, towers, repickled(content, check.trap, 50), same_form)
    assert found['error'] > 40


def test_torchscript(check, tmp_path):
    folder = tmp_path / 'script'
    folder.mkdir()
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 3)), str(folder / 'clip.pt'))
    content = (folder / 'clip.pt').read_bytes()
    check(folder / 'clip.pt', read_weight_file, bytes_mutations(content, 20))


def test_configuration_of_open_clip(clip, state, check):
    save_file(state, clip / WEIGHTS)
    path = clip / 'open_clip_config.json'
    cases = [*whole_files(path.read_bytes()), *json_mutations(CONFIG, 220)]
    found = check(path, towers, cases, same_weights, (WEIGHTS,))
    assert found['error'] > 100


def same_weights(original, result, content):
    """Other sizes of heads, images and numbers of the normalisation are another CLIP."""
    return form(original) == form(result)


def test_configuration_of_transformers(tmp_path, state, check):
    folder = tmp_path / 'clip'
    folder.mkdir()
    # The text tower of transformers has the 16 tokens too.
    save_file(to_hugging_face(state), folder / HF_WEIGHTS)
    config = config_to_hugging_face(CONFIG['model_cfg'])
    (folder / 'config.json').write_text(json.dumps(config))
    preprocess = dict(image_mean=[0.5, 0.4, 0.3], image_std=[0.2, 0.3, 0.1], size=16)
    (folder / 'preprocessor_config.json').write_text(json.dumps(preprocess))
    found = check(
        folder / 'config.json', towers, json_mutations(config, 150), same_weights, (HF_WEIGHTS,)
    )
    assert found['error'] > 40
    found = check(
        folder / 'preprocessor_config.json',
        towers,
        json_mutations(preprocess, 60),
        same_weights,
    )
    assert found['error'] > 20


@pytest.fixture
def checkpoint():
    """What mmengine writes, in small."""
    loss = HistoryBuffer()
    loss.update(1.5)
    hub = MessageHub('fuzz')
    hub.update_scalar('train/loss', 1.5)
    layer = torch.nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(layer.parameters())
    layer(torch.ones(3)).sum().backward()
    optimizer.step()
    return dict(
        state_dict=layer.state_dict(),
        optimizer=optimizer.state_dict(),
        meta=dict(epoch=1, iter=3, seed=0, cfg='a = 1', time='now'),
        message_hub=hub.state_dict(),
    )


def load(path):
    return CheckpointLoader.load_checkpoint(str(path), map_location='cpu')


@pytest.mark.parametrize('zipped', [True, False])
def test_checkpoint_of_a_training(zipped, checkpoint, check, tmp_path):
    path, content = tmp_path / 'run' / 'epoch_1.pth', saved(checkpoint, zipped)
    path.parent.mkdir()
    path.write_bytes(content)
    cases = [*whole_files(content), *bytes_mutations(content, 30)]
    found = check(path, load, cases, nothing if zipped else lambda *_: True)
    assert found['error'] > 15


def test_pickle_within_a_checkpoint(checkpoint, check, tmp_path):
    path, content = tmp_path / 'run' / 'epoch_1.pth', saved(checkpoint)
    path.parent.mkdir()
    path.write_bytes(content)
    found = check(path, load, repickled(content, check.trap, 50), lambda *_: True)
    assert found['error'] > 30


@pytest.fixture(params=['.pt', '.npy', '.safetensors'])
def embeddings(request, tmp_path):
    path = tmp_path / 'table' / f'classes{request.param}'
    table = torch.randn(3, 5, generator=torch.Generator().manual_seed(0))
    metadata = EmbeddingMetadata(('a {}.',), {'cat': ('kitty',)}, 'ViT-B-16', 'clip.pt')
    save_class_embeddings(path, CLASSES, table, metadata)
    return path


def table(path):
    return (
        load_class_embeddings(path, CLASSES),
        read_named_embeddings(path),
        vars(read_metadata(path)),
    )


def test_class_embeddings(embeddings, check):
    path, content = embeddings, embeddings.read_bytes()

    def other_numbers(original, result, changed):
        """Only numbers of the table; metadata is text."""
        return path.suffix != '.pt' and form(original[:2]) == form(result[:2])

    cases = [*whole_files(content), *bytes_mutations(content, 50)]
    if path.suffix == '.pt':
        cases += false_sizes(content)
    found = check(path, table, cases, other_numbers)
    assert found['error'] > 25


def test_npy_of_objects(check, tmp_path):
    path = tmp_path / 'table' / 'classes.npy'
    path.parent.mkdir()
    np.save(path, np.ones((3, 5)))
    good = path.read_bytes()
    np.save(path, np.array([Path('x'), None, 3], object), allow_pickle=True)
    bad = path.read_bytes()
    path.write_bytes(good)
    start = bad.index(b'\x80')
    cases = [(n, bad[:start] + text) for n, text in pickle_injections(bad[start:], check.trap, 8)]
    for shape in ('(3, 1000000000)', '(1000000000, 0)', '(3, -5)', '(True, 5)', '()', '((3,), 5)'):
        head = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
        cases.append((shape, good[:8] + struct.pack('<H', len(head)) + head + good[-120:]))
    assert check(path, table, cases)['error'] == len(cases)
