"""Words of --score-thr."""

import json

import pytest

from clipself_mm.labelling import read_thresholds

CLASSES = ['red star', 'a=b', 'cup']


def test_numbers_names_and_files(tmp_path):
    path = tmp_path / 'tuned.json'
    path.write_text(json.dumps({'cup': 0.125, 'red star': 1}))
    assert read_thresholds([], CLASSES) == dict.fromkeys(CLASSES, 0.3)
    assert read_thresholds(['0'], CLASSES) == dict.fromkeys(CLASSES, 0.0)
    found = read_thresholds(['a=b=0.5', '0.4'], CLASSES)
    assert [*found.items()] == [('red star', 0.4), ('a=b', 0.5), ('cup', 0.4)]
    assert read_thresholds([str(path)], CLASSES) == {'red star': 1.0, 'a=b': 0.3, 'cup': 0.125}


@pytest.mark.parametrize(
    ('words', 'complaint'),
    [
        (['Red_star=0.5'], "'Red_star' is not one of the classes; found 'red star'"),
        (['dog=0.5'], r"dog=0\.5: 'dog' is not one of the classes, which are \['red star'"),
        (['cup=0.5', 'cup=0.6'], r"cup=0\.6: 'cup' has a threshold already"),
        (['0.5', '0.6'], r'0\.6: a threshold for all classes was given before'),
        (['50'], "50: expected a threshold from 0 to 1, got '50'"),
        (['cup=nan'], "expected a threshold from 0 to 1, got 'nan'"),
        (['cup'], "cup: expected a threshold from 0 to 1, got 'cup'"),
        (['gone.json'], r'gone\.json: no such file'),
        (['list.json'], r'list\.json: expected \{"class name": threshold'),
        (['text.json'], r"text\.json: cup: expected a threshold from 0 to 1, got 'high'"),
    ],
)
def test_mistakes_are_named(words, complaint, elsewhere, tmp_path):
    (tmp_path / 'list.json').write_text('[0.5]')
    (tmp_path / 'text.json').write_text('{"cup": "high"}')
    with pytest.raises((ValueError, OSError), match=complaint):
        read_thresholds(words, CLASSES)
