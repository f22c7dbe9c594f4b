"""Files of users that are no text, no json, nested deeply or folders: one error with the file."""

import re
from functools import partial

import pytest

from clipself_mm.clip import build_tower
from clipself_mm.clip.class_embeddings import load_class_embeddings
from clipself_mm.clip.prompts import read_templates
from clipself_mm.datasets import load_vocabulary
from clipself_mm.datasets.annotations.captions import load_captions
from clipself_mm.datasets.annotations.coco_json import load_coco_json
from clipself_mm.datasets.annotations.image_listing import read_listing
from clipself_mm.datasets.proposals.reading import read_proposals
from clipself_mm.datasets.sharded.index import read_index

DEEP = b'[' * 200_000
CP1252 = '["café"]'.encode('cp1252')


def tower(path):
    """A folder of a CLIP with this configuration."""
    build_tower(f'local-dir:{path.parent}')


JSON = {
    'annotations.json': load_coco_json,
    'captions.json': load_captions,
    'vocabulary.json': load_vocabulary,
    'proposals.json': partial(read_proposals, images=[], ann_file='a.json'),
    'index.json': read_index,
    'prompts.json': read_templates,
    'open_clip_config.json': tower,
    'config.json': tower,
}
TEXT = {'vocabulary.txt': load_vocabulary, 'prompts.txt': read_templates}
OTHERS = {
    'images.txt': read_listing,
    'proposals.pkl': partial(read_proposals, images=[], ann_file='a.json'),
    **{f'table{end}': partial(load_class_embeddings, classes=['a']) for end in ('.pt', '.npy')},
    'table.safetensors': partial(load_class_embeddings, classes=['a']),
    'weights.pt': partial(build_tower, 'pkg:clipself_mm.shapes/tiny_clip'),
}


def error_of(read, path):
    with pytest.raises((ValueError, OSError)) as caught:
        read(path if read is tower else str(path))
    assert str(path) in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


@pytest.mark.parametrize('name', JSON)
def test_json_nested_too_deeply_raises(name, tmp_path):
    (tmp_path / name).write_bytes(DEEP)
    assert 'nested too deeply' in error_of(JSON[name], tmp_path / name)


@pytest.mark.parametrize('name', [*JSON, *TEXT])
def test_another_encoding_raises(name, tmp_path):
    (tmp_path / name).write_bytes(CP1252)
    message = error_of({**JSON, **TEXT}[name], tmp_path / name)
    assert re.search(r'UTF-8.*byte 5\b.*save', message)


@pytest.mark.parametrize('name', [*JSON, *TEXT, *OTHERS])
def test_folder_in_place_of_a_file_raises(name, tmp_path):
    (tmp_path / name).mkdir()
    message = error_of({**JSON, **TEXT, **OTHERS}[name], tmp_path / name)
    assert 'folder' in message or 'file' in message


def test_folder_in_place_of_weights_names_the_remedy(tmp_path):
    message = error_of(OTHERS['weights.pt'], tmp_path)
    assert f'is a folder; a folder with a CLIP is given as model="local-dir:{tmp_path}"' in message


@pytest.mark.parametrize('encoding', ['utf-8', 'utf-8-sig', 'utf-16', 'utf-32'])
def test_marked_encodings_are_read(encoding, tmp_path):
    for name, text in (('a.json', '{"classes": ["café", "杯"]}'), ('b.txt', 'café\n杯\n')):
        (tmp_path / name).write_bytes(text.encode(encoding))
        assert load_vocabulary(tmp_path / name).classes == ('café', '杯')
    (tmp_path / 'prompts.txt').write_bytes('a {}, café.\n\n'.encode(encoding))
    assert read_templates(tmp_path / 'prompts.txt') == ('a {}, café.',)
    (tmp_path / 'index.json').write_bytes('[{"file": "é.tar", "pictures": 1}]'.encode(encoding))
    assert read_index(str(tmp_path / 'index.json'))[0].file == 'é.tar'
