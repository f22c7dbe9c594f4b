"""Findings about images without annotation."""

import json
import re

import pytest
from mmengine.config import Config

from clipself_mm.datasets.checks.check_data import Finding, check_config


@pytest.fixture
def data(tmp_path, monkeypatch):
    """Two images, a list of them and an index of two shards; the current folder above."""
    monkeypatch.chdir(tmp_path)
    for folder in ('data/images/more', 'data/shards'):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / 'data/images/1.jpg').write_bytes(b'jpeg')
    (tmp_path / 'data/images/more/2.PNG').write_bytes(b'png')
    (tmp_path / 'data/list.txt').write_text('images/1.jpg\n# a comment\nimages/more/2.PNG\n')
    index = [dict(file=f'{number}.tar', pictures=5) for number in (0, 1)]
    (tmp_path / 'data/shards/index.json').write_text(json.dumps(index))
    for number in (0, 1):
        (tmp_path / f'data/shards/{number}.tar').write_bytes(b'tar')
    return tmp_path / 'data'


def found(source, kind='UnlabelledImages', **changes):
    """Findings of a config with one such dataset, wrapped."""
    dataset = dict(type=kind, data_root='data/', source=source, pipeline=[], **changes)
    wrapped = dict(type='RepeatDataset', times=2, dataset=dataset)
    return list(check_config(Config(dict(train_dataloader=dict(dataset=wrapped)))))


def test_images_and_shards_are_counted(data):
    assert found('images') == [Finding('data/images', note='2 images')]
    assert found('list.txt') == [
        Finding('data/list.txt', note='2 images'),
        Finding('data/', note='2 files'),
    ]
    assert found('shards/index.json', 'ShardedImages') == [
        Finding('data/shards/index.json', note='10 images in 2 shards'),
        Finding('data/shards', note='2 files'),
    ]


def test_missing_source_is_reported(data):
    (finding,) = found('none')
    assert finding.path == 'data/none'
    assert 'missing' in finding.problem
    (finding,) = found('none', 'ShardedImages')
    assert finding.path == 'data/none'
    assert 'tools/make_shards.py' in finding.problem


def test_folder_is_searched_for_the_extensions_of_the_config(data):
    assert found('images', extensions=['.Png']) == [Finding('data/images', note='1 images')]
    (finding,) = found('images', extensions=['.webp'])
    assert '.webp' in finding.problem


def test_images_of_a_list_are_relative_to_its_prefix(data):
    (data / 'names.txt').write_text('1.jpg\n3.jpg\n')
    _, folder = found('names.txt', data_prefix=dict(img='images'))
    assert folder.path == 'data/images'
    assert re.search(r'\b1\b.*\b2\b.*3\.jpg', folder.problem)


def test_missing_and_empty_shards_are_reported(data):
    (data / 'shards/0.tar').unlink()
    (data / 'shards/1.tar').write_bytes(b'')
    _, folder = found('shards/index.json', 'ShardedImages')
    assert re.search(r'\b1\b.*\b1\b.*\b2\b.*0\.tar, 1\.tar', folder.problem)


def test_broken_index_is_reported(data):
    (data / 'shards/index.json').write_text('[{"file": "0.tar"')
    (finding,) = found('shards/index.json', 'ShardedImages')
    assert 'JSON' in finding.problem
    assert 'line 1 column 18' in finding.problem


@pytest.mark.parametrize('place', ['pipe:cat far/{}', 'https://somewhere/shards'])
def test_commands_and_urls_are_ignored(data, place):
    index, *rest = found('shards/index.json', 'ShardedImages', data_prefix=dict(img=place))
    assert (index.note, rest) == ('10 images in 2 shards', [])
    (listed,) = found('s3://bucket/list.txt')
    assert listed.note == 'not checked, not a local file'
