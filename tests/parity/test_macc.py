"""Mean class accuracy against the release's `macc_with_is_thing`."""

import pytest
import torch

from tests.parity.fixtures import GoldenFile
from tests.parity.recorded_panoptic import accuracy

pytestmark = pytest.mark.parity


def test_macc():
    golden = GoldenFile('macc')
    labels = torch.from_numpy(golden.inputs['labels'])
    is_thing = torch.from_numpy(golden.inputs['is_thing']) > 0
    for key in golden.outputs:
        route, kind, rank = key.split('.')
        counted = is_thing if kind == 'thing' else ~is_thing
        k = int(rank.removeprefix('macc'))
        correct = torch.from_numpy(golden.inputs[f'correct_{route}'])[counted, :k]
        topk = torch.where(correct > 0, labels[counted, None], -1)
        released = accuracy(topk, labels[counted], half_precision=True)
        golden.check(key, released, tolerance=1e-12)
        ours = accuracy(topk, labels[counted])
        assert abs(ours - released) < 1e-3
    golden.finish()
