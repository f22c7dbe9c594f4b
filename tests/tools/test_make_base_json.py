"""tools/make_base_json.py: what stays, what goes, and that nothing is lost on an error."""

import json
from functools import partial

import pytest

SOURCE = dict(
    info=dict(year=2017),
    licenses=[dict(id=1)],
    images=[dict(id=key, file_name=f'{key}.jpg') for key in (1, 2, 3)],
    annotations=[
        dict(id=1, image_id=1, category_id=5, bbox=[0, 0, 1, 1]),
        dict(id=2, image_id=1, category_id=6, bbox=[0, 0, 2, 2]),
        dict(id=3, image_id=2, category_id=6, bbox=[0, 0, 3, 3]),
        dict(id=4, image_id=3, category_id=7, bbox=[0, 0, 4, 4]),
    ],
    categories=[dict(id=6, name='dog'), dict(id=7, name='gnu'), dict(id=5, name='cat')],
)


@pytest.fixture
def make(tmp_path, monkeypatch, run_tool):
    """Runs the tool's main in a folder with src.json and a vocabulary with base cat, novel dog."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'src.json').write_text(json.dumps(SOURCE))
    lists = dict(classes=['cat', 'dog'], base=['cat'], novel=['dog'])
    (tmp_path / 'pets.json').write_text(json.dumps(lists))
    return partial(run_tool, 'make_base_json')


def test_keeps_base_boxes_and_everything_else(make, tmp_path, capsys):
    make('src.json', 'new/dst.json', '--vocabulary', 'pets.json')
    written = json.loads((tmp_path / 'new' / 'dst.json').read_text())
    assert written == dict(SOURCE, annotations=SOURCE['annotations'][:1])
    assert json.loads((tmp_path / 'src.json').read_text()) == SOURCE
    assert capsys.readouterr().out.splitlines() == [
        'images 3 of 3',
        'boxes  1 of 4',
        'wrote new/dst.json',
    ]
    assert [path.name for path in (tmp_path / 'new').iterdir()] == ['dst.json']


def test_drop_empty(make, tmp_path, capsys):
    make('src.json', 'dst.json', '--vocabulary', 'pets.json', '--drop-empty')
    written = json.loads((tmp_path / 'dst.json').read_text())
    assert written['images'] == SOURCE['images'][:1]
    assert written['annotations'] == SOURCE['annotations'][:1]
    assert 'images 1 of 3' in capsys.readouterr().out


@pytest.mark.parametrize(
    ('source', 'names', 'text'),
    [
        ('none.json', 'pets.json', r'none\.json'),
        ('src.json', 'nowhere', "'nowhere'"),
        ('src.json', 'coco', r'\bcoco\b.*\bbase\b'),
        ('src.json', 'ov_coco', r'src\.json.*\b48\b.*\b48\b.*ov_coco'),
    ],
)
def test_errors_are_one_line_and_leave_the_old_file(make, tmp_path, source, names, text):
    (tmp_path / 'dst.json').write_text('old')
    with pytest.raises(SystemExit, match=text):
        make(source, 'dst.json', '--vocabulary', names)
    assert (tmp_path / 'dst.json').read_text() == 'old'


def test_does_not_overwrite_its_source(make, tmp_path, capsys):
    with pytest.raises(SystemExit):
        make('src.json', './src.json', '--vocabulary', 'pets.json')
    assert 'error: ./src.json' in capsys.readouterr().err
    assert json.loads((tmp_path / 'src.json').read_text()) == SOURCE


def test_an_interrupted_write_leaves_the_old_file(make, tmp_path, monkeypatch):
    (tmp_path / 'dst.json').write_text('old')

    def stop(*_):
        raise OSError('disk gone')

    monkeypatch.setattr('os.replace', stop)
    with pytest.raises(SystemExit, match='disk gone'):
        make('src.json', 'dst.json', '--vocabulary', 'pets.json')
    assert (tmp_path / 'dst.json').read_text() == 'old'
