import dataclasses
import json
from pathlib import Path

import pytest
import torch
from mmdet.datasets import (
    CocoDataset,
    CocoPanopticDataset,
    Objects365V1Dataset,
    VOCDataset,
)

from clipself_mm.clip.class_embeddings import load_class_embeddings
from clipself_mm.clip.prompts import expand_prompts
from clipself_mm.datasets import Vocabulary, load_vocabulary
from clipself_mm.datasets.annotations import vocabulary
from clipself_mm.datasets.annotations.categories import category_labels

DATA = Path(__file__).parents[1] / 'data'
FOLDER = Path(vocabulary.__file__).parents[1] / 'vocabularies'


def test_coco_equals_mmdet():
    coco = load_vocabulary('coco')
    assert coco.classes == CocoDataset.METAINFO['classes']
    assert coco.things == coco.classes
    assert (coco.base, coco.novel) == ((), ())
    assert dict(zip(coco.classes, coco.ids, strict=True))['toothbrush'] == 90


def test_coco_panoptic_equals_mmdet():
    panoptic = load_vocabulary('coco_panoptic')
    assert panoptic.classes == CocoPanopticDataset.METAINFO['classes']
    assert panoptic.things == CocoPanopticDataset.METAINFO['thing_classes']
    assert (len(panoptic.classes), len(panoptic.things)) == (133, 80)
    assert dict(zip(panoptic.classes, panoptic.ids, strict=True))['rug-merged'] == 200
    assert list(panoptic.ids) == sorted(panoptic.ids)


@pytest.mark.parametrize(
    ('name', 'dataset', 'count'),
    [('objects365v1', Objects365V1Dataset, 365), ('voc07', VOCDataset, 20)],
)
def test_transfer_vocabularies_have_the_labels_of_mmdet(name, dataset, count):
    """Files of mmdet's converters and mmdet's datasets have aliases for some classes."""
    vocabulary = load_vocabulary(name)
    named_by_mmdet = dataset.METAINFO['classes']
    categories = [dict(id=7 + i, name=name) for i, name in enumerate(named_by_mmdet)]
    label_of = category_labels(categories, vocabulary, 'val.json')
    assert label_of == {7 + label: label for label in range(count)}
    assert len(vocabulary.classes) == count
    assert (vocabulary.base, vocabulary.novel) == ((), ())


@pytest.mark.parametrize('name', ['ov_coco', 'coco', 'ov_lvis', 'objects365v1', 'voc07'])
def test_released_embeddings_load(tmp_path, name):
    """A file with the released names, in their order and with the background."""
    released = json.loads((DATA / 'released_embedding_names.json').read_text())
    names = released['ov_coco_and_coco' if name.endswith('coco') else name]['names']
    rows = torch.nn.functional.normalize(torch.randn(len(names), 8), dim=-1)
    torch.save(dict(zip(names, rows, strict=True)), tmp_path / 'theirs.pt')
    classes = (*load_vocabulary(name).classes, 'background')
    loaded = load_class_embeddings(tmp_path / 'theirs.pt', classes)
    expected = torch.stack([rows[names.index(own)] for own in classes])
    torch.testing.assert_close(loaded, expected)


def test_text_tower_uses_the_name_and_not_the_alias():
    voc = load_vocabulary('voc07')
    prompts = [text for name in voc.classes for text in expand_prompts(name)]
    assert 'There is a potted plant in the scene.' in prompts
    assert not [text for text in prompts if 'pottedplant' in text or 'diningtable' in text]
    assert voc.synonyms == {}


def test_splits_have_the_published_sizes():
    ov_coco, ov_lvis = load_vocabulary('ov_coco'), load_vocabulary('ov_lvis')
    assert (len(ov_coco.classes), len(ov_coco.base), len(ov_coco.novel)) == (65, 48, 17)
    assert (len(ov_lvis.classes), len(ov_lvis.base), len(ov_lvis.novel)) == (1203, 866, 337)
    coco = load_vocabulary('coco')
    ids = dict(zip(coco.classes, coco.ids, strict=True))
    assert ov_coco.ids == tuple(ids[name] for name in ov_coco.classes)
    assert ov_lvis.ids == tuple(range(1, 1204))


def test_text_file(tmp_path):
    (tmp_path / 'mine.txt').write_text('a cat\n\n dog \n', encoding='utf-8')
    vocabulary = load_vocabulary(tmp_path / 'mine.txt')
    assert vocabulary == Vocabulary('mine', ('a cat', 'dog'), things=('a cat', 'dog'))


def test_text_files_with_bom_and_crlf(tmp_path):
    """A byte order mark before the first name, and CRLF line ends."""
    (tmp_path / 'mine.txt').write_bytes('\ufeffcafé; bar\r\ndog\r\n'.encode())
    vocabulary = load_vocabulary(tmp_path / 'mine.txt')
    assert vocabulary.classes == ('café', 'dog')
    assert vocabulary.synonyms == {'café': ('bar',)}


def test_synonyms_in_text_and_json_files(tmp_path):
    (tmp_path / 'mine.txt').write_text('couch; sofa ;settee\ncat\nbus;coach\n')
    expected = {'couch': ('sofa', 'settee'), 'bus': ('coach',)}
    by_lines = load_vocabulary(tmp_path / 'mine.txt')
    assert by_lines.classes == ('couch', 'cat', 'bus')
    assert by_lines.synonyms == expected
    (tmp_path / 'mine.json').write_text(
        json.dumps(dict(classes=['couch', 'cat', 'bus'], synonyms=expected))
    )
    assert load_vocabulary(tmp_path / 'mine.json') == by_lines
    assert hash(by_lines) == hash(dataclasses.replace(by_lines))


def test_packaged_vocabularies_have_no_synonyms():
    names = [path.stem for path in FOLDER.glob('*.json')]
    assert len(names) > 5
    assert all(load_vocabulary(name).synonyms == {} for name in names)


@pytest.mark.parametrize(
    ('line', 'complaint'),
    [
        ('cat;', "line 2.*'cat;'"),
        (';cat', "line 2.*';cat'"),
        ('cat;;kitty', "line 2.*'cat;;kitty'"),
        ('cat; dog', "synonym 'dog' of 'cat'"),
        ('dog; hound', r"classes.*\['dog'\]"),
    ],
)
def test_bad_lines_raise(tmp_path, line, complaint):
    (tmp_path / 'wrong.txt').write_text(f'dog\n{line}\n')
    with pytest.raises(ValueError, match=complaint) as error:
        load_vocabulary(tmp_path / 'wrong.txt')
    assert 'wrong.txt' in str(error.value)


def test_json_file_with_stuff(tmp_path):
    content = dict(classes=['a', 'b', 'sky'], base=['a'], novel=['b', 'sky'], things=['b', 'a'])
    (tmp_path / 'mine.json').write_text(json.dumps(content))
    vocabulary = load_vocabulary(str(tmp_path / 'mine.json'))
    assert vocabulary.name == 'mine'
    assert vocabulary.things == ('b', 'a')
    with pytest.raises(dataclasses.FrozenInstanceError):
        vocabulary.classes = ()


@pytest.mark.parametrize(
    ('content', 'complaint'),
    [
        (dict(classes=['a', 'b', 'a']), r"classes.*\['a'\]"),
        (dict(classes=['a', 'b'], base=['a']), r"\['b'\].*base.*novel"),
        (dict(classes=['a', 'b'], base=['a'], novel=['a', 'b']), r"\['a'\].*base.*novel"),
        (dict(classes=['a'], base=['a'], novel=['c']), r"novel.*\['c'\]"),
        (dict(classes=['a'], things=['c']), r"things.*\['c'\]"),
        (dict(classes=['a', 'b'], ids=[1]), r'\b2\b.*classes.*\b1\b.*ids'),
        (dict(classes=['a', 'b'], ids=[1, 1]), r'ids.*\[1\]'),
        (dict(classes=['a', 'b'], ids=['x', 'y']), r"ids.*\bint\b.*\['x', 'y'\]"),
        (dict(classes=[]), r'classes.*\[\]'),
        (dict(classes='ab'), "classes.*'ab'"),
        (dict(classes=['a', '']), r"classes.*\['a', ''\]"),
        (dict(classes=['a', 3]), r"classes.*\['a', 3\]"),
        (dict(classes=['a'], synonyms=['b']), r"synonyms.*\['b'\]"),
        (dict(classes=['a'], synonyms=dict(a='b')), r"synonyms.*\{'a': 'b'\}"),
        (dict(classes=['a'], synonyms=dict(b=['c'])), "synonyms.*'b'.*classes"),
        (dict(classes=['a'], synonyms=dict(a=[])), r"synonyms.*'a'.*\(\)"),
        (dict(classes=['a'], synonyms=dict(a=['b', ' '])), r"synonyms.*'a'.*\('b', ' '\)"),
        (dict(classes=['a'], synonyms=dict(a=[3])), r"synonyms.*'a'.*\(3,\)"),
        (dict(classes=['a', 'b'], synonyms=dict(a=['b'])), "synonym 'b'.*'a'"),
        (dict(classes=['a'], synonyms=dict(a=['a'])), "synonym 'a'.*'a'"),
        (dict(classes=['a'], synonyms=dict(a=['x', 'x'])), "synonym.*'x'.*'a'.*'a'"),
        (
            dict(classes=['a', 'b'], synonyms=dict(a=['x'], b=['x'])),
            "synonym.*'x'.*'b'.*'a'",
        ),
        (dict(classes=['a'], aliases=dict(a='b')), r"aliases.*\{'a': 'b'\}"),
        (dict(classes=['a'], aliases=dict(b=['c'])), "aliases.*'b'.*classes"),
        (dict(classes=['a', 'b'], aliases=dict(a=['b'])), "alias 'b'.*'a'"),
        (
            dict(classes=['a', 'b'], aliases=dict(a=['x'], b=['x'])),
            "alias.*'x'.*'b'.*'a'",
        ),
        (dict(names=['a']), "'classes'"),
        (['a'], "'classes'"),
    ],
)
def test_contradictions_raise(tmp_path, content, complaint):
    (tmp_path / 'wrong.json').write_text(json.dumps(content))
    with pytest.raises(ValueError, match=complaint) as error:
        load_vocabulary(tmp_path / 'wrong.json')
    assert 'wrong.json' in str(error.value)


def test_truncated_and_missing_files_raise(tmp_path):
    (tmp_path / 'cut.json').write_text('{"classes": ["a"')
    with pytest.raises(ValueError, match=r'cut\.json'):
        load_vocabulary(tmp_path / 'cut.json')
    with pytest.raises(FileNotFoundError, match=r"'cocoo'.*'ov_coco', 'ov_lvis'"):
        load_vocabulary('cocoo')
    with pytest.raises(FileNotFoundError, match=r'none\.txt'):
        load_vocabulary(tmp_path / 'none.txt')
