"""Class embeddings on disk: what is written and read back, and what is refused."""

import json
import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
import torch.nn.functional as F
from safetensors import safe_open

from clipself_mm.clip import TextTower
from clipself_mm.clip.class_embeddings import (
    load_class_embeddings,
    read_metadata,
    read_named_embeddings,
    save_class_embeddings,
)
from clipself_mm.clip.embedding_metadata import EmbeddingMetadata
from tests.commands import call

TOOL = Path(__file__).parents[2] / 'tools/make_text_embeddings.py'
FORMATS = ('.pt', '.npy', '.safetensors')
NAMED = ('.pt', '.safetensors')
VECTORS = F.normalize(torch.arange(1.0, 7).view(3, 2), dim=-1)
ORIGIN = EmbeddingMetadata(
    templates=('a photo of {article} {}.', '{}'),
    synonyms={'sofá': ('couch', 'settee')},
    model='ViT-B-16',
    checkpoint='vit.pt',
)


@pytest.mark.parametrize('suffix', NAMED)
def test_embeddings_are_read_in_the_given_order(tmp_path, suffix):
    path = tmp_path / 'new' / f'e{suffix}'
    save_class_embeddings(path, ['a', 'b', 'c'], VECTORS)
    torch.testing.assert_close(load_class_embeddings(path, ['c', 'a']), VECTORS[[2, 0]])
    named = read_named_embeddings(path)
    assert list(named) == ['a', 'b', 'c']
    torch.testing.assert_close(named['b'], VECTORS[1])
    assert os.listdir(path.parent) == [path.name]


def test_pt_and_npy_are_plain_torch_and_numpy_files(tmp_path):
    save_class_embeddings(tmp_path / 'e.npy', ['a', 'b', 'c'], VECTORS)
    table = np.load(tmp_path / 'e.npy')
    assert table.dtype == np.float32
    assert np.array_equal(table, VECTORS.numpy())
    save_class_embeddings(tmp_path / 'e.pt', ['a', 'b', 'c'], VECTORS)
    content = torch.load(tmp_path / 'e.pt', weights_only=True)
    assert [*content] == ['a', 'b', 'c']
    assert torch.equal(content['c'], VECTORS[2])


def test_safetensors_have_metadata(tmp_path):
    path = tmp_path / 'e.safetensors'
    save_class_embeddings(path, ['sofá', 'b', 'c'], VECTORS, ORIGIN)
    with safe_open(path, framework='np') as file:
        header = file.metadata()
        assert np.array_equal(file.get_tensor('embeddings'), VECTORS.numpy())
    assert json.loads(header['classes']) == ['sofá', 'b', 'c']
    assert json.loads(header['templates']) == ['a photo of {article} {}.', '{}']
    assert json.loads(header['synonyms']) == {'sofá': ['couch', 'settee']}
    assert (header['model'], header['checkpoint']) == ('"ViT-B-16"', '"vit.pt"')
    assert header['format_version'] == '1'
    assert read_metadata(path) == ORIGIN
    save_class_embeddings(tmp_path / 'e.pt', ['a', 'b', 'c'], VECTORS, ORIGIN)
    assert read_metadata(tmp_path / 'e.pt') == EmbeddingMetadata()


def test_table_has_one_row_per_class(tmp_path):
    path = tmp_path / 'e.npy'
    save_class_embeddings(path, ['a', 'b', 'background'], 3 * VECTORS)
    torch.testing.assert_close(load_class_embeddings(path, ['a', 'b', 'background']), VECTORS)
    torch.testing.assert_close(load_class_embeddings(path, ['a', 'b']), VECTORS[:2])
    assert read_named_embeddings(path) == {}
    with pytest.raises(ValueError, match=r'e\.npy.*\(3, 2\).*\b1\b.*background'):
        load_class_embeddings(path, ['a'])
    with pytest.raises(ValueError, match=r'e\.npy.*\(3, 2\).*\b4\b.*background'):
        load_class_embeddings(path, ['a', 'b', 'c', 'd'])
    with pytest.raises(ValueError, match=r'e\.npy.*\(3, 2\).*\b2\b.*background'):
        load_class_embeddings(path, ['a', 'background'])


@pytest.mark.parametrize('suffix', NAMED)
def test_missing_classes_raise_with_similar_names(tmp_path, suffix):
    path = tmp_path / f'e{suffix}'
    save_class_embeddings(path, ['traffic light', 'Dog', 'cat'], VECTORS)
    wanted = ['cat', 'traffic_light', 'dog', 'owl']
    with pytest.raises(ValueError, match=r'\b3\b.*\b4\b.*traffic_light, dog, owl\b') as caught:
        load_class_embeddings(path, wanted)
    text = str(caught.value)
    assert str(path) in text
    assert re.search("'traffic light'.*'traffic_light'", text)
    assert re.search("'Dog'.*'dog'", text)
    assert "'owl'" not in text


def test_invalid_embeddings_are_not_written(tmp_path):
    with pytest.raises(ValueError, match=r'e\.csv.*\.pt, \.npy, \.safetensors.*\.csv'):
        save_class_embeddings(tmp_path / 'e.csv', ['a', 'b', 'c'], VECTORS)
    with pytest.raises(ValueError, match=r'e\.npy.*\b2\b.*\(3, 2\)'):
        save_class_embeddings(tmp_path / 'e.npy', ['a', 'b'], VECTORS)
    with pytest.raises(ValueError, match=r"e\.npy.*\['a', 'b', 'a'\]"):
        save_class_embeddings(tmp_path / 'e.npy', ['a', 'b', 'a'], VECTORS)
    assert not any(tmp_path.iterdir())
    (tmp_path / 'e.csv').touch()
    with pytest.raises(ValueError, match=r'e\.csv.*\.pt, \.npy, \.safetensors.*\.csv'):
        load_class_embeddings(tmp_path / 'e.csv', ['a'])


@pytest.mark.parametrize('suffix', FORMATS)
def test_write_is_atomic(tmp_path, monkeypatch, suffix):
    path = tmp_path / f'e{suffix}'
    save_class_embeddings(path, ['a', 'b', 'c'], VECTORS)
    before = path.read_bytes()

    def fail(*args):
        raise OSError('no space left')

    monkeypatch.setattr(os, 'replace', fail)
    with pytest.raises(OSError, match='no space left'):
        save_class_embeddings(path, ['a', 'b', 'c'], -VECTORS)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize('suffix', FORMATS)
@pytest.mark.parametrize('damage', ['truncated', 'empty', 'text'])
def test_broken_file_raises_with_the_expected_format(tmp_path, suffix, damage):
    path = tmp_path / f'e{suffix}'
    save_class_embeddings(path, ['a', 'b', 'c'], VECTORS)
    whole = path.read_bytes()
    path.write_bytes({'truncated': whole[:-7], 'empty': b'', 'text': b'a,b,c\n' * 40}[damage])
    expected = {'.pt': r'torch\.save', '.npy': r'numpy\.save', '.safetensors': 'embeddings'}
    for read in (read_named_embeddings, lambda path: load_class_embeddings(path, ['a', 'b', 'c'])):
        with pytest.raises(ValueError, match=expected[suffix]) as caught:
            read(path)
        assert str(path) in str(caught.value)
        assert '\n' not in str(caught.value)


def write_torch(content):
    return lambda path: torch.save(content, path)


def write_table(content):
    return lambda path: np.save(path, content)


def write_safetensors(table, **header):
    whole = dict(format='clipself_mm class embeddings', format_version='1', classes='["a", "b"]')
    header = {key: text for key, text in (whole | header).items() if text is not None}
    return lambda path: safetensors.torch.save_file({'embeddings': table}, path, header)


@pytest.mark.parametrize(
    ('name', 'write', 'complaint'),
    [
        ('tensor.pt', write_torch(torch.eye(2)), r'torch\.save.*Tensor'),
        ('numbers.pt', write_torch({0: torch.ones(2)}), r'torch\.save.*\bkey 0\b'),
        ('none.pt', write_torch({}), r'torch\.save.*\[\]'),
        (
            'lengths.pt',
            write_torch(dict(a=torch.ones(2), b=torch.ones(3))),
            r'torch\.save.*\[2, 3\]',
        ),
        ('detector.pt', write_torch(dict(state_dict=dict(w=torch.ones(2)))), r'torch\.save'),
        ('nan.pt', write_torch(dict(a=torch.tensor([1, float('nan')]))), 'row 0'),
        ('code.pt', write_torch(dict(a=Path('x'))), r'torch\.save'),
        ('line.npy', write_table(np.ones(3)), r'numpy\.save.*\(3,\)'),
        ('objects.npy', write_table(np.array([{}, 1], dtype=object)), r'numpy\.save'),
        ('words.npy', write_table(np.array([['a', 'b']])), r'numpy\.save'),
        ('tower.safetensors', write_safetensors(torch.eye(2), format='pt'), r"\['embeddings'\]"),
        (
            'next.safetensors',
            write_safetensors(torch.eye(2), format_version='2'),
            r'version.*\b2\b.*\b1\b',
        ),
        ('count.safetensors', write_safetensors(torch.eye(3)), r"\b3\b.*\['a', 'b'\]"),
        ('names.safetensors', write_safetensors(torch.eye(2), classes=None), "'classes'"),
        ('json.safetensors', write_safetensors(torch.eye(2), classes='["a'), 'column 2'),
    ],
)
def test_invalid_files_raise(tmp_path, name, write, complaint):
    write(tmp_path / name)
    with pytest.raises(ValueError, match=complaint) as caught:
        read_named_embeddings(tmp_path / name)
    assert name in str(caught.value)


def test_header_without_metadata_raises_when_it_is_read(tmp_path):
    write_safetensors(torch.eye(2))(tmp_path / 'e.safetensors')
    with pytest.raises(ValueError, match=r'e\.safetensors.*templates'):
        read_metadata(tmp_path / 'e.safetensors')


def test_missing_file_raises(tmp_path):
    for read in (
        read_named_embeddings,
        read_metadata,
        lambda path: load_class_embeddings(path, []),
    ):
        with pytest.raises(FileNotFoundError, match=r'e\.pt.*make_text_embeddings\.py'):
            read(tmp_path / 'e.pt')


@pytest.mark.slow
def test_tool_writes_a_vocabulary_with_background_synonyms_and_prompts(micro_clip, tmp_path):
    (tmp_path / 'pets.txt').write_text('cat; kitty\ndog\n')
    (tmp_path / 'prompts.txt').write_text('itap of my {}.\n\n{} indoors\n')
    out = tmp_path / 'made' / 'pets.safetensors'
    asked = ['pets.txt', '--model', micro_clip, '--out', out, '--prompts', 'prompts.txt']
    call([sys.executable, TOOL, *asked], tmp_path)
    templates, synonyms = ('itap of my {}.', '{} indoors'), {'cat': ('kitty',)}
    made = TextTower(micro_clip).embed_classes(
        ['cat', 'dog', 'background'], templates, synonyms=synonyms
    )
    torch.testing.assert_close(
        load_class_embeddings(out, ['cat', 'dog', 'background']), made, rtol=1e-4, atol=1e-6
    )
    expected = EmbeddingMetadata(templates, synonyms, micro_clip, 'open_clip_model.safetensors')
    assert read_metadata(out) == expected


@pytest.mark.parametrize(
    ('out', 'prompts', 'complaint'),
    [
        ('pets.csv', '{} here', r'pets\.csv.*\.pt, \.npy, \.safetensors'),
        ('pets.pt', 'a photo', r"prompts\.txt.*'a photo'"),
    ],
)
def test_tool_raises_before_the_tower_is_built(
    elsewhere, tmp_path, run_tool, out, prompts, complaint
):
    (tmp_path / 'pets.txt').write_text('cat\n')
    (tmp_path / 'prompts.txt').write_text(prompts)
    asked = f'pets.txt --model local-dir:nowhere --out {out} --prompts prompts.txt'
    with pytest.raises(ValueError, match=complaint):
        run_tool('make_text_embeddings', *asked.split())
