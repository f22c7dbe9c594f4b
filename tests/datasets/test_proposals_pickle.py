"""Pickles of mmdet's DumpProposals: read as they are written, and never run."""

import os
import pickle

import numpy as np
import pytest
import torch
from mmdet.evaluation import DumpProposals
from mmengine.structures import InstanceData

from clipself_mm.datasets.proposals.mmdet_pickle import read_proposal_pickle

BOXES = [[0.5, 1, 10, 20], [3, 4, 8, 9]]


def write(path, content, protocol=2):
    path.write_bytes(pickle.dumps(content, protocol))
    return str(path)


def instances(boxes, scores):
    found = InstanceData()
    found.bboxes = np.array(boxes, np.float32).reshape(-1, 4)
    found.scores = np.array(scores, np.float32)
    return found


def test_what_mmdet_writes(tmp_path):
    metric = DumpProposals(str(tmp_path / 'made'), 'p.pkl', num_max_proposals=2)
    for name, boxes, scores in (
        ('9', [[1, 2, 3, 5], *BOXES], [0.1, 0.25, 0.75]),
        ('25', [], []),
    ):
        found = dict(bboxes=torch.tensor(boxes).reshape(-1, 4), scores=torch.tensor(scores))
        sample = dict(img_path=f'/data/coco/train2017/{name}.jpg', pred_instances=found)
        metric.process({}, [sample])
    metric.evaluate(2)
    read = read_proposal_pickle(str(tmp_path / 'made' / 'p.pkl'))
    assert list(read) == ['train2017/9.jpg', 'train2017/25.jpg']
    boxes, scores = read['train2017/9.jpg']
    assert boxes.tolist() == BOXES[::-1]
    assert scores.tolist() == [0.75, 0.25]
    assert boxes.dtype == scores.dtype == np.float64
    boxes, scores = read['train2017/25.jpg']
    assert (boxes.shape, scores.shape) == ((0, 4), (0,))


@pytest.mark.parametrize('protocol', [2, 3, 4, 5])
@pytest.mark.parametrize('kind', ['instances', 'dict', 'table', 'boxes', 'fortran'])
def test_other_protocols_and_values(tmp_path, protocol, kind):
    scores = [0.5, 0.25]
    table = np.concatenate([np.array(BOXES), np.array(scores)[:, None]], axis=1)
    value = dict(
        instances=instances(BOXES, scores),
        dict=dict(bboxes=np.array(BOXES), scores=np.array(scores)),
        table=table,
        boxes=np.array(BOXES),
        fortran=np.asfortranarray(table),
    )[kind]
    path = write(tmp_path / 'p.pkl', {'1.jpg': value, '2.jpg': value}, protocol)
    for boxes, found in read_proposal_pickle(path).values():
        assert boxes.tolist() == BOXES
        assert (found is None) if kind == 'boxes' else (found.tolist() == scores)


def test_a_pickle_of_another_numpy(tmp_path):
    path = tmp_path / 'p.pkl'
    written = pickle.dumps({'1.jpg': np.array(BOXES)}, 2)
    new, old = b'numpy._core.multiarray', b'numpy.core.multiarray'
    assert (new in written) != (old in written)
    for name in (new, old):
        path.write_bytes(written.replace(new, name).replace(old, name))
        assert read_proposal_pickle(str(path))['1.jpg'][0].tolist() == BOXES


class Touch:
    """Makes a file when it is unpickled by the ordinary module."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize('hidden', [False, True])
def test_code_in_a_pickle_does_not_run(tmp_path, hidden):
    trap = Touch(tmp_path / 'sprung')
    value = instances(BOXES, [0.5, 0.5])
    if hidden:
        vars(value)['note'] = trap
    path = write(tmp_path / 'p.pkl', {'1.jpg': value if hidden else trap})
    with pytest.raises(ValueError, match=r'p\.pkl: .*posix\.mkdir'):
        read_proposal_pickle(path)
    assert not (tmp_path / 'sprung').exists()
    pickle.loads((tmp_path / 'p.pkl').read_bytes())
    assert (tmp_path / 'sprung').exists()


@pytest.mark.parametrize(
    'text',
    [
        b'cposix\nsystem\n(S"true"\ntR.',
        b'cbuiltins\neval\n(S"1"\ntR.',
        b'cnumpy\nload\n(S"x"\ntR.',
        b'cnumpy.core.multiarray\nscalar\n.',
        b'cmmengine.fileio\nload\n.',
        b'c_codecs\nencode\n(Vx\nVzip\ntR.',
    ],
)
def test_names_that_are_no_part_of_proposals(tmp_path, text):
    (tmp_path / 'p.pkl').write_bytes(text)
    with pytest.raises(ValueError, match=r'p\.pkl: .*not imported'):
        read_proposal_pickle(str(tmp_path / 'p.pkl'))


def test_cut_short_anywhere(tmp_path):
    whole = pickle.dumps({'1.jpg': instances(BOXES, [0.5, 0.25])}, 2)
    for length in range(0, len(whole), 7):
        (tmp_path / 'p.pkl').write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r'p\.pkl.*DumpProposals'):
            read_proposal_pickle(str(tmp_path / 'p.pkl'))


@pytest.mark.parametrize(
    ('content', 'text'),
    [
        ([np.zeros((1, 5))], 'expected a dict from file names to proposals.*got a list'),
        ({3: np.zeros((1, 5))}, 'expected a dict from file names'),
        ({'1.jpg': np.zeros((2, 6))}, r'proposals of 1.jpg have shape \(2, 6\), expected'),
        ({'1.jpg': dict(scores=np.zeros(2))}, 'are a dict without an array of bboxes'),
        ({'1.jpg': [1, 2, 3, 4]}, 'are a list without an array of bboxes'),
        ({'1.jpg': dict(bboxes=[[0, 0, 1, 1]])}, 'bboxes should be a numpy array.*got list'),
        ({'1.jpg': np.array([['a'] * 4])}, 'bboxes should be a numpy array of numbers, got <U1'),
        ({'1.jpg': np.array([[None] * 4])}, 'bboxes should be a numpy array of numbers, got obj'),
        ({'1.jpg': np.array([[0, 0, np.nan, 1]])}, 'bboxes holds numbers that are not finite'),
        (
            {'1.jpg': dict(bboxes=np.zeros((2, 4)), scores=np.zeros(3))},
            r'have 2 bboxes and scores of shape \(3,\)',
        ),
        ({'1.jpg': dict(bboxes=np.zeros((2, 5)))}, r'bboxes of shape \(2, 5\), expected \(R, 4\)'),
    ],
)
def test_other_content(tmp_path, content, text):
    with pytest.raises(ValueError, match=rf'p\.pkl.*{text}'):
        read_proposal_pickle(write(tmp_path / 'p.pkl', content))


def test_missing():
    with pytest.raises(FileNotFoundError, match=r'nowhere\.pkl'):
        read_proposal_pickle('nowhere.pkl')
