"""InfoNCE by hand, against a loop, and on two processes as on one."""

import json
import math
import sys
from pathlib import Path

import pytest
import torch

from clipself_mm.losses import ContrastiveLoss, symmetric_info_nce
from tests.commands import call


def test_by_hand():
    """Unit vectors: cosines 1, 0 / 0.6, 0.8; scale ln 2 makes powers of two of them."""
    images = torch.tensor([[3.0, 0.0], [3.0, 4.0]])
    texts = torch.tensor([[2.0, 0.0], [0.0, 7.0]])
    two = [[2**1.0, 2**0.0], [2**0.6, 2**0.8]]
    rows = [two[0][0] / (two[0][0] + two[0][1]), two[1][1] / (two[1][0] + two[1][1])]
    columns = [two[0][0] / (two[0][0] + two[1][0]), two[1][1] / (two[0][1] + two[1][1])]
    expected = -sum(map(math.log, rows + columns)) / 4
    loss = symmetric_info_nce(images, texts, math.log(2))
    assert loss.item() == pytest.approx(expected, rel=1e-6)


def test_one_pair_and_a_perfect_match_give_zero():
    assert symmetric_info_nce(torch.tensor([[1.0, 2.0]]), torch.tensor([[-3.0, 1.0]]), 9.0) == 0
    assert symmetric_info_nce(torch.eye(4), torch.eye(4), 100.0) < 1e-6
    assert symmetric_info_nce(torch.eye(4), torch.eye(4).flip(0), 100.0) > 90


def test_equal_embeddings_give_the_logarithm_of_the_batch_size():
    same = torch.ones(5, 3)
    assert symmetric_info_nce(same, same, 7.0).item() == pytest.approx(math.log(5), rel=1e-6)


def test_half_precision_is_not_used_inside():
    images, texts = torch.randn(2, 3, 4).double().chunk(2)
    images, texts = images[0], texts[0]
    expected = symmetric_info_nce(images, texts, 100.0)
    with torch.autocast('cpu', torch.bfloat16):
        assert symmetric_info_nce(images, texts, 100.0).equal(expected)


def test_numbers_of_texts_and_images_must_agree():
    with pytest.raises(ValueError, match=r'\b2\b.*\b3\b'):
        symmetric_info_nce(torch.ones(3, 2), torch.ones(2, 2), 1.0)


def test_weight_is_a_factor():
    images, texts = torch.randn(4, 3), torch.randn(4, 3)
    expected = 0.5 * symmetric_info_nce(images, texts, 2.0)
    torch.testing.assert_close(ContrastiveLoss(0.5)(images, texts, 2.0), expected)


@pytest.mark.slow
def test_two_processes_have_loss_and_gradient_of_one(tmp_path):
    script = Path(__file__).with_name('two_process_contrast.py')
    out = tmp_path / 'out'
    call([sys.executable, script, out], tmp_path)
    one, *ranks = (json.loads(Path(f'{out}.{name}').read_text()) for name in ('one', 0, 1))
    for rank in ranks:
        for key, value in one.items():
            torch.testing.assert_close(torch.tensor(rank[key]), torch.tensor(value))
