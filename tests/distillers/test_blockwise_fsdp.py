"""FSDP on two processors: the same training, checkpoint and blend as on one."""

import json
import sys

import pytest
import torch
from torch import nn

from clipself_mm.distillers import BlockwiseFSDP
from tests.commands import ROOT, call


@pytest.mark.skipif(not torch.distributed.is_available(), reason='no torch.distributed')
def test_two_processes_with_spread_weights_are_one_with_the_whole_batch(micro_clip, tmp_path):
    script = ROOT / 'tests/distillers/fsdp_processes.py'
    call([sys.executable, script, micro_clip, tmp_path], tmp_path, timeout=900)
    report = json.loads((tmp_path / 'report.json').read_text())
    assert report['units'] == 1 + 3  # the model, and each block of the student
    assert report['teacher is whole']
    assert report['names']
    whole = report['numbers of the student']
    assert 0.4 * whole < report['numbers held of the student'] < 0.6 * whole
    assert report['moved'] > 4e-3  # what decays is what decays on one process
    assert report['one process'] < 2e-4
    assert report['blend'] == 0
    assert report['resumed'] == 0


def test_what_it_cannot_spread_is_refused():
    with pytest.raises(ValueError, match='Linear has not'):
        BlockwiseFSDP(nn.Linear(2, 2))
    with pytest.raises(ValueError, match='sets use_orig_params itself'):
        BlockwiseFSDP(nn.Linear(2, 2), use_orig_params=False)
