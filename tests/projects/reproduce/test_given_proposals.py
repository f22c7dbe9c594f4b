"""Proposals of others: what is refused before a run starts, what is read of a good file."""

import json
from pathlib import Path

import pytest

from projects.reproduce import read_given_proposals

IMAGES = [{'id': 7, 'file_name': 'a.jpg'}, {'id': 3, 'file_name': 'b.jpg'}]
BOX = {'id': 1, 'image_id': 7, 'category_id': 5, 'bbox': [0, 0, 9, 9]}
NOUNS = [{'id': 9, 'name': 'stove'}, {'id': 5, 'name': 'cat'}]
MERE = [{'id': 5, 'name': 'proposal'}]


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / 'train2017'
    folder.mkdir()
    for image in IMAGES:
        (folder / image['file_name']).write_text('pixels')
    return folder


def write(folder, **parts):
    content = {'images': IMAGES, 'annotations': [BOX], 'categories': NOUNS} | parts
    path = folder / 'p.json'
    path.write_text(json.dumps({key: part for key, part in content.items() if part is not None}))
    return path


@pytest.mark.parametrize(
    ('categories', 'nouns'), [(NOUNS, 2), (MERE, 0), (None, 0)], ids=['pairs', 'boxes', 'bare']
)
def test_a_file_with_nouns_serves_as_pairs_too(tmp_path, images, categories, nouns):
    path = write(tmp_path, categories=categories)
    assert read_given_proposals(path, images) == (path, nouns)


def test_a_relative_path_holds_wherever_runs_are_made(tmp_path, images, monkeypatch):
    write(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert read_given_proposals(Path('p.json'), images).path == tmp_path / 'p.json'


@pytest.mark.parametrize(
    ('parts', 'complaint'),
    [
        (dict(images=[]), r"\['annotations', 'categories', 'images'\]"),
        (dict(annotations=[]), r'\b2\b.*\bbox\b'),
        (dict(annotations=None), r'\b2\b.*\bbox\b'),
        (dict(annotations=[{**BOX, 'bbox': [0, 0, 9]}]), r'bbox.*\b1\b.*\[0, 0, 9\]'),
        (dict(annotations=[{**BOX, 'category_id': 6}]), r'category.*\b6\b'),
        (dict(images=[*IMAGES, {'id': 4, 'file_name': 'c.jpg'}]), r'\b1\b.*\b3\b.*c\.jpg'),
    ],
)
def test_a_wrong_file_is_named_with_its_fault(tmp_path, images, parts, complaint):
    path = write(tmp_path, **parts)
    with pytest.raises(ValueError, match=complaint) as error:
        read_given_proposals(path, images)
    assert str(path) in str(error.value)


def test_a_missing_or_broken_file_is_named(tmp_path, images):
    with pytest.raises(FileNotFoundError, match=r'none\.json'):
        read_given_proposals(tmp_path / 'none.json', images)
    (tmp_path / 'p.json').write_text('{"images": [')
    with pytest.raises(ValueError, match=r'p\.json.*\b13\b'):
        read_given_proposals(tmp_path / 'p.json', images)
    (tmp_path / 'p.pkl').write_text('x')
    with pytest.raises(ValueError, match=r'p\.pkl.*\bjson\b'):
        read_given_proposals(tmp_path / 'p.pkl', images)


def test_images_of_another_data_set_are_refused(tmp_path, images):
    path = write(tmp_path, images=[{'id': 7, 'file_name': 'other.jpg'}])
    with pytest.raises(ValueError, match=r'train2017.*\b1\b.*\b1\b.*other\.jpg'):
        read_given_proposals(path, images)
