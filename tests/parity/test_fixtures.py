"""The parity bookkeeping itself must be able to fail."""

import numpy as np
import pytest

from tests.parity import fixtures
from tests.parity.fixtures import GoldenFile


@pytest.fixture
def golden(tmp_path, monkeypatch):
    monkeypatch.setattr(fixtures, 'FIXTURES', tmp_path)
    (tmp_path / 'config.json').write_text('{"toy": {"size": 3}}')
    np.savez(
        tmp_path / 'toy.npz',
        **{
            'in.x': np.arange(2),
            'w.layer.bias': np.zeros(1),
            'out.y': np.array([100.0, 0.0]),
            'out.edges': np.array([np.inf, np.nan, 1.0]),
            'out.count': np.array([3, 4]),
        },
    )
    return GoldenFile('toy')


def test_reads_groups_and_config(golden):
    assert golden.config == {'size': 3}
    assert golden.inputs['x'].tolist() == [0, 1]
    assert list(golden.weights) == ['layer.bias']
    assert sorted(golden.outputs) == ['count', 'edges', 'y']


def test_tolerance_is_a_share_of_the_largest_magnitude(golden):
    golden.check('y', np.array([100.0, 0.0009]))
    with pytest.raises(AssertionError, match=r'toy\.npz y.*0\.0011.*\b0\.001\b'):
        golden.check('y', np.array([100.0, 0.0011]))
    with pytest.raises(AssertionError, match=r'toy\.npz y.*\bnan\b.*\b0\.001\b'):
        golden.check('y', np.array([100.0, np.nan]))
    with pytest.raises(AssertionError, match=r'toy\.npz y.*\(1, 2\).*\(2,\)'):
        golden.check('y', np.zeros((1, 2)))


def test_a_limit_is_absolute_and_may_differ_by_element(golden):
    golden.check('y', np.array([100.5, 0.01]), limit=[1, 0.1])
    with pytest.raises(AssertionError, match=r'toy\.npz y.*\b0\.5\b.*\b1\b'):
        golden.check('y', np.array([100.5, 0.2]), limit=[1, 0.1])


def test_infinities_and_integers_are_exact(golden):
    golden.check('edges', np.array([np.inf, np.nan, 1.0]))
    with pytest.raises(AssertionError):
        golden.check('edges', np.array([-np.inf, np.nan, 1.0]))
    with pytest.raises(AssertionError):
        golden.check('count', np.array([3, 5]))
    golden.check('count', np.array([3, 5]), where=np.array([True, False]))
    with pytest.raises(AssertionError, match=r'toy\.npz count'):
        golden.check('count', np.array([3, 4]), where=np.array([False, False]))


def test_finish_names_what_was_forgotten(golden):
    golden.check('y', golden.outputs['y'])
    golden.check('count', golden.outputs['count'])
    with pytest.raises(AssertionError, match=r"toy\.npz.*compared.*\['edges'\]"):
        golden.finish()
    golden.finish(exempt={'edges': 'a reason'})
    with pytest.raises(AssertionError, match=r"toy\.npz.*\['other'\]"):
        golden.finish(exempt={'edges': 'a reason', 'other': 'a reason'})
    with pytest.raises(AssertionError, match=r"toy\.npz.*reason.*\['edges'\]"):
        golden.finish(exempt={'edges': ''})
    with pytest.raises(AssertionError, match=r"toy\.npz.*\['y'\]"):
        golden.finish(exempt={'edges': 'a reason', 'y': 'a reason'})
