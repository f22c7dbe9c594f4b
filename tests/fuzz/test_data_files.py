"""Vocabularies, prompts, lists, proposals, indices, shards and the teacher cache, mutated."""

import io
import json
import pickle
import tarfile

import numpy as np
import pytest
from mmengine.structures import InstanceData

from clipself_mm.clip.prompts import check_templates, read_templates
from clipself_mm.datasets import load_vocabulary
from clipself_mm.datasets.annotations.image_listing import read_listing
from clipself_mm.datasets.annotations.nouns import CaptionNouns, load_nouns
from clipself_mm.datasets.embedding_cache import CacheMetadata, EmbeddingCache
from clipself_mm.datasets.proposals.reading import read_proposals
from clipself_mm.datasets.sharded.index import Shard, read_index, write_index
from clipself_mm.datasets.sharded.reading import ShardWindow, shard_images
from projects.ade847.labels import read_index as read_ade
from projects.ade847.labels import shared_names
from tests.fuzz.mutations import (
    CHANGES,
    bytes_mutations,
    encodings,
    json_mutations,
    pickle_injections,
    swap,
    whole_files,
)

VOCABULARY = {
    'classes': ['café', 'cat', 'traffic light', 'sky'],
    'base': ['cat', 'sky'],
    'novel': ['café', 'traffic light'],
    'things': ['café', 'cat', 'traffic light'],
    'ids': [3, 1, 7, 12],
    'synonyms': {'cat': ['kitty', 'tomcat']},
    'aliases': {'sky': ['heaven']},
}
LINES = 'café\ncat; kitty; tomcat\ntraffic light\n'
NOUNS = {'categories': [{'id': 3, 'name': 'dog'}, {'id': 1, 'name': 'cat'}]}
PROMPTS = {'templates': ['a photo of {article} {}.', 'the {} é.']}
IMAGES = [dict(id=7, file_name='a/1.jpg'), dict(id='x', file_name='2.jpg')]
BOXES = [[0.5, 1.0, 10.0, 20.0], [3.0, 4.0, 8.0, 9.0]]
RESULTS = [
    {'image_id': 7, 'bbox': [1, 2, 3.5, 4], 'score': 0.5, 'category_id': 1},
    {'image_id': 'x', 'bbox': [0, 0, 5, 6], 'score': 1, 'category_id': 1},
]


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / 'files'
    path.mkdir()
    return path


def is_name(name):
    """A text that can be printed, encoded and told from the others."""
    return isinstance(name, str) and name.strip() and '\0' not in name and name.encode() != b''


def are_names(original, vocabulary, content):
    """The classes of a vocabulary are names, and its other lists follow them."""
    classes = vocabulary.classes
    assert all(map(is_name, classes))
    assert len(set(classes)) == len(classes) > 0
    assert {*vocabulary.base, *vocabulary.novel, *vocabulary.things} <= set(classes)
    assert {type(number) for number in vocabulary.ids} in ({int}, {str}, set())
    assert len(vocabulary.ids) in (0, len(classes))
    for others in (vocabulary.synonyms, vocabulary.aliases):
        assert set(others) <= set(classes)
        assert all(is_name(name) for names in others.values() for name in names)
    CaptionNouns(vocabulary)(['a cat'])
    return True


def test_vocabulary_json(folder, check):
    path, content = folder / 'classes.json', json.dumps(VOCABULARY).encode()
    path.write_bytes(content)
    cases = [*whole_files(content), *encodings(content.decode()), *json_mutations(VOCABULARY, 200)]
    cases += bytes_mutations(content, 40)
    found = check(path, load_vocabulary, cases, are_names)
    assert found['error'] > 150


def test_vocabulary_lines(folder, check):
    path, content = folder / 'classes.txt', LINES.encode()
    path.write_bytes(content)
    cases = [*whole_files(content), *encodings(LINES), *bytes_mutations(content, 40)]
    assert check(path, load_vocabulary, cases, are_names)['error'] > 20


def test_nouns(folder, check):
    path = folder / 'nouns.json'
    path.write_text(json.dumps(NOUNS))
    found = check(path, lambda path: load_nouns(str(path)), json_mutations(NOUNS, 150), are_names)
    assert found['error'] > 80


@pytest.mark.parametrize('name', ['prompts.json', 'prompts.txt'])
def test_prompts(name, folder, check):
    text = json.dumps(PROMPTS) if name.endswith('.json') else '\n'.join(PROMPTS['templates'])
    path, content = folder / name, text.encode()
    path.write_bytes(content)
    cases = [*whole_files(content), *encodings(text), *bytes_mutations(content, 30)]
    if name.endswith('.json'):
        cases += json_mutations(PROMPTS, 60)

    def are_templates(original, result, changed):
        return all(map(is_name, result)) and check_templates(result) == result

    assert check(path, read_templates, cases, are_templates)['error'] > 20


def test_list_of_images(folder, check):
    path, content = folder / 'list.txt', 'a/1.jpg\n# old\n\nb/é.png\n'.encode()
    path.write_bytes(content)
    cases = [*whole_files(content), *encodings(content.decode()), *bytes_mutations(content, 30)]

    def are_paths(original, result, changed):  # of any bytes, as Linux has them
        return all(name and '\0' not in name and '\n' not in name for name in result)

    assert check(path, lambda path: read_listing(str(path)), cases, are_paths)['error'] > 5


def are_boxes(original, result, content):
    """Finite boxes and scores of known images."""
    boxes_of, missing = result
    for image, (boxes, scores) in boxes_of.items():
        assert image in (7, 'x')
        assert type(image) is not bool
        assert boxes.dtype == np.float64
        assert boxes.shape == (len(boxes), 4)
        assert np.isfinite(boxes).all()
        if scores is not None:
            assert scores.dtype == np.float64
            assert scores.shape == (len(boxes),)
            assert np.isfinite(scores).all()
    return all(isinstance(name, str) for name in missing)


def proposals(path):
    return read_proposals(str(path), IMAGES, 'instances.json')


def test_proposals_json(folder, check):
    path, content = folder / 'proposals.json', json.dumps(RESULTS).encode()
    path.write_bytes(content)
    cases = [*whole_files(content), *json_mutations(RESULTS, 150), *bytes_mutations(content, 20)]
    assert check(path, proposals, cases, are_boxes)['error'] > 80


@pytest.mark.parametrize('protocol', [2, 5])
def test_proposals_pickle(protocol, folder, check):
    found = InstanceData(bboxes=np.array(BOXES, np.float32), scores=np.array([0.5, 0.25]))
    tables = {'a/1.jpg': found, '2.jpg': dict(bboxes=np.array(BOXES)), '3.jpg': np.ones((1, 5))}
    path, content = folder / 'proposals.pkl', pickle.dumps(tables, protocol)
    path.write_bytes(content)
    cases = [*whole_files(content), *bytes_mutations(content, 60)]
    cases += pickle_injections(content, check.trap, 16)
    assert check(path, proposals, cases, are_boxes)['error'] > 40


@pytest.mark.parametrize('protocol', [2, 4])
def test_index_of_ade20k(protocol, folder, check):
    tree = dict(
        filename=['ADE_val_1.jpg', 'ADE_train_2.jpg'],
        folder=['ADE/val', 'ADE/train'],
        objectnames=['wall', 'door', 'sky'],
        objectPresence=np.array([[1, 2], [0, 1], [3, 1]], np.uint8),
        objectIsPart=np.zeros((3, 2), np.uint8),
        scene=np.array(['a', 'b'], object),
    )
    path, content = folder / 'index_ade20k.pkl', pickle.dumps(tree, protocol)
    path.write_bytes(content)

    def read(path):
        index = read_ade(path)
        return index.images, index.names, index.whole, index.validation, shared_names(index)

    def is_index(original, result, changed):
        images, names, whole, *_ = result
        assert all(map(is_name, (*images, *names)))
        return whole.dtype == np.int64 and whole.shape == (len(names), len(images))

    cases = [*whole_files(content), *bytes_mutations(content, 60)]
    cases += pickle_injections(content, check.trap, 16)
    assert check(path, read, cases, is_index)['error'] > 40


def test_index_of_shards(folder, check):
    path = write_index([Shard('000000.tar', 2), Shard('é.tar', 3)], folder)
    content = path.read_bytes()

    def are_shards(original, result, changed):
        for shard in result:
            assert is_name(shard.file)
            assert '..' not in shard.file.split('/')
            assert type(shard.images) is int
            assert shard.images > 0
        return len(result) > 0

    cases = [*whole_files(content), *encodings(content.decode())]
    cases += [*json_mutations(json.loads(content), 150), *bytes_mutations(content, 20)]
    found = check(path, lambda path: read_index(str(path)), cases, are_shards)
    assert found['error'] > 90


SEEN = tuple(change for change in CHANGES if change is not swap)
"""The check sum of a header is a sum: a swap does not change it."""


def shard(format=tarfile.GNU_FORMAT):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode='w', format=format) as file:
        for number in range(4):
            for end, size in (('jpg', 700), ('json', 20)):
                entry = tarfile.TarInfo(f'{number:09d}.{end}')
                entry.size = size
                file.addfile(entry, io.BytesIO(bytes([number + 1]) * size))
    return buffer.getvalue()


def images_of(path):
    """All that is read of a shard, to count its images and to train on them."""
    left_out = []
    images = list(shard_images(str(path), left_out=left_out))
    window = ShardWindow(str(path), len(images), 2)
    assert [window[position] for position in range(len(images))] == images
    window.close()
    return [(image.key, image.suffix, image.content) for image in images], left_out


def same_names(original, result, content):
    """A tar has no check sum of its contents; names and sizes have one."""
    if not any(content):  # a tar without files, of which the index warns
        return result == ([], [])
    (images, left_out), (others, left) = original, result
    sizes, other_sizes = (
        [(*image[:2], len(image[2])) for image in part] for part in (images, others)
    )
    return sizes == other_sizes and left_out == left


@pytest.mark.parametrize('format', [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_shards(format, folder, check):
    pytest.importorskip('webdataset', reason='the extra wds is not installed')
    path, content = folder / '000000.tar', shard(format)
    path.write_bytes(content)
    cases = [*whole_files(content), *bytes_mutations(content, 60)]
    headers = [0, 1536, 2560, 4096]
    for start in headers:
        changes = bytes_mutations(content, 20, SEEN, start, start + 512)
        cases += [(f'header {start} {label}', text) for label, text in changes]
    cases += [(f'cut {size}', content[:size]) for size in range(512, len(content), 1024)]
    found = check(path, images_of, cases, same_names)
    assert found['error'] > 40


def test_headers_of_shards_that_ask_for_more(folder, check):
    """Check sums are right, but the sizes are not; a sparse file is a small one that is huge."""
    pytest.importorskip('webdataset', reason='the extra wds is not installed')
    path, content = folder / '000000.tar', shard()
    path.write_bytes(content)
    cases = []
    for size in (0, 1, 10**6, 2**40, 8**11 - 1, 2**70):
        for kind in (tarfile.REGTYPE, tarfile.GNUTYPE_SPARSE, tarfile.GNUTYPE_LONGNAME, b'x'):
            entry = tarfile.TarInfo('000000000.jpg')
            entry.size, entry.type = size, kind
            head = bytearray(entry.tobuf(tarfile.GNU_FORMAT))
            if kind == tarfile.GNUTYPE_SPARSE:
                head[386:410] = b'%011o\0%011o\0' % (0, 512)
                head[483:495] = b'%011o\0' % min(size, 8**11 - 1)
            head[148:156] = b'%06o\0 ' % tarfile.calc_chksums(head)[0]
            cases.append((f'{size} {kind}', bytes(head) + content[512:]))
    found = check(path, images_of, cases)
    assert found['error'] >= len(cases) - 1


def test_teacher_cache(folder, check):
    pytest.importorskip('lmdb', reason='the extra cache is not installed')
    keys = [b'image %d' % number for number in range(40)]
    metadata = CacheMetadata('teacher', 'float32', 'crops', 32)
    source = folder / 'cache'
    cache = EmbeddingCache(source)
    cache.claim(metadata)
    cache.put(keys, np.random.default_rng(0).normal(size=(40, 32)))
    path = source / 'data.mdb'
    from clipself_mm.datasets.embedding_cache import _close_environments

    _close_environments()
    content = path.read_bytes()

    def read(path):
        cache = EmbeddingCache(path.parent)
        cache.claim(metadata)
        rows, found = cache.get(keys)
        return {key: row for key, row in zip(np.array(keys)[found].tolist(), rows, strict=True)}

    def some_are_missing(original, result, changed):
        """Never another embedding: it has a check sum. A lost one is encoded again."""
        return all(np.array_equal(original[key], row) for key, row in result.items())

    cases = [*whole_files(content), *bytes_mutations(content, 200)]
    found = check(path, read, cases, some_are_missing, ('',))
    assert found['error'] > 20
