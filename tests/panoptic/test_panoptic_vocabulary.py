"""Vocabularies of things and stuff."""

import json

import pytest

pytest.importorskip('panopticapi')

from clipself_mm.panoptic import find_panoptic_vocabulary


def test_classes_of_a_data_set_type():
    words = find_panoptic_vocabulary('ADE20KPanopticDataset')
    assert (len(words.classes), len(words.things)) == (150, 100)
    assert words.classes[100] == 'wall'
    assert 'wall' not in words.things


def test_a_name_a_mapping_and_a_vocabulary():
    words = find_panoptic_vocabulary('shapes_ov_panoptic')
    assert (len(words.classes), len(words.things)) == (73, 65)
    assert find_panoptic_vocabulary(words) is words
    words = find_panoptic_vocabulary(dict(things=['cat', 'dog'], stuff=['sky']))
    assert (words.classes, words.things) == (('cat', 'dog', 'sky'), ('cat', 'dog'))


def test_stuff_before_things_raises(tmp_path):
    path = tmp_path / 'mixed.json'
    path.write_text(json.dumps(dict(classes=['cat', 'sky', 'dog'], things=['cat', 'dog'])))
    with pytest.raises(ValueError, match=r"mixed.*'dog'"):
        find_panoptic_vocabulary(str(path))


@pytest.mark.parametrize(
    ('given', 'message'),
    [
        (dict(things=['cat', 'cat']), r"classes.*\['cat'\]"),
        (dict(), r'classes.*\[\]'),
        (dict(things='cat'), "things.*'cat'"),
        (dict(things=['cat'], stuff=[' ']), r"'cat', ' '"),
        ('CocoDataset', 'CocoDataset.*thing_classes'),
    ],
)
def test_invalid_vocabulary_raises(given, message):
    with pytest.raises(ValueError, match=message):
        find_panoptic_vocabulary(given)
