"""The region-text loss by a plain loop, sampling of nouns, several processes."""

import math
import sys

import numpy as np
import pytest
import torch
from mmengine.logging import MessageHub

from clipself_mm.losses import RegionTextLoss, region_text_loss, sample_categories
from tests.commands import call
from tests.losses import two_process_region_text


def batch(regions=5, nouns=12, width=8, seed=0):
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(regions, width, generator=generator)
    labels = torch.randint(nouns, (regions,), generator=generator)
    return features, labels, torch.randn(nouns, width, generator=generator)


def test_two_regions_by_hand():
    """Cosines 1 and 0: with scale ln 3 the logits are ln 3 and 0, their sigmoids 3/4 and 1/2."""
    features = torch.tensor([[2.0, 0.0], [0.0, 0.5]])
    loss = region_text_loss(
        features, torch.tensor([0, 0]), torch.eye(2), math.log(3), sampled=torch.tensor([0, 1])
    )
    right = -math.log(3 / 4) - math.log(1 / 2)  # shows noun 0 and is one
    wrong = -math.log(1 / 2) - math.log(1 / 4)  # shows noun 1 and is noun 0
    assert loss.item() == pytest.approx((right + wrong) / 2)


def test_a_plain_loop_over_regions_and_nouns():
    features, labels, nouns = batch()
    sampled = torch.cat([labels.unique(), torch.tensor([k for k in (0, 7, 11) if k not in labels])])
    total = 0
    for feature, label in zip(features, labels, strict=True):
        for k in sampled:
            cosine = feature @ nouns[k] / feature.norm() / nouns[k].norm()
            probability = 1 / (1 + (-14 * cosine).exp())
            total -= (probability if label == k else 1 - probability).log()
    loss = RegionTextLoss(loss_weight=2)(features, labels, nouns, 14.0, sampled)
    assert loss.item() == pytest.approx(2 * total.item() / 5, rel=1e-5)


def test_no_region_gives_zero_gradients():
    features = torch.zeros(0, 8, requires_grad=True)
    loss = RegionTextLoss()(features, torch.zeros(0, dtype=torch.int64), torch.randn(12, 8), 100.0)
    loss.backward()
    assert loss.item() == 0
    assert features.grad.shape == (0, 8)


def test_under_amp_the_logits_are_exact():
    features, labels, nouns = batch()
    exact = region_text_loss(features, labels, nouns, 100.0, torch.arange(12))
    with torch.autocast('cpu', torch.bfloat16):
        assert region_text_loss(features, labels, nouns, 100.0, torch.arange(12)) == exact


@pytest.mark.parametrize(
    ('labels', 'wanted', 'present', 'count'),
    [
        ([7, 2, 7, 30], 10, [2, 7, 30], 10),
        ([7, 2, 7, 30], 2, [2, 7, 30], 3),  # all that occur, even if they are more
        ([7], 100, [7], 40),  # there are no more
        ([], 5, [], 5),
    ],
)
def test_sampled_are_those_present_then_others(labels, wanted, present, count):
    sampled = sample_categories(
        torch.tensor(labels, dtype=torch.int64), 40, wanted, np.random.default_rng(0)
    ).tolist()
    assert sampled[: len(present)] == present
    assert len(sampled) == len(set(sampled)) == count
    assert set(sampled) <= set(range(40))


def test_others_are_drawn_evenly():
    counts = np.zeros(20)
    generator = np.random.default_rng(0)
    for _ in range(2000):
        counts[sample_categories(torch.tensor([3, 5]), 20, 11, generator).numpy()] += 1
    assert counts[3] == counts[5] == 2000
    others = np.delete(counts, [3, 5])
    assert np.abs(others / 2000 - 9 / 18).max() < 0.05


@pytest.mark.parametrize('labels', [[0, 12], [-1, 3]])
def test_labels_out_of_range_raise(labels):
    with pytest.raises(ValueError, match=rf'{labels[0]}\b.*\b{labels[1]}\b.*\b12\b.*model\.nouns'):
        RegionTextLoss()(torch.randn(2, 8), torch.tensor(labels), torch.randn(12, 8), 1.0)


def test_the_choice_comes_from_seed_and_iteration():
    loss, labels = RegionTextLoss(num_sampled=10), torch.tensor([4])
    hub = MessageHub.get_current_instance()
    before = {key: hub.get_info(key) for key in ('seed', 'iter')}
    drawn = {}
    try:
        for key in [(0, 0), (0, 1), (1, 0), (0, 0)]:
            hub.update_info_dict(dict(zip(('seed', 'iter'), key, strict=True)))
            torch.manual_seed(len(drawn))  # the global state has no effect
            sampled = loss.sample(labels, 1000).tolist()
            assert drawn.setdefault(key, sampled) == sampled
    finally:
        hub.update_info_dict(before)
    assert len(set(map(tuple, drawn.values()))) == 3


@pytest.mark.slow
def test_two_processes_average_to_the_loss_of_one(tmp_path):
    """Regions 5 and 1: each process divides by 3, so the mean of both is the sum over 6."""
    out = tmp_path / 'losses.pt'
    call([sys.executable, two_process_region_text.__file__, out], tmp_path)
    shares = torch.load(out)
    features, labels, nouns = two_process_region_text.whole()
    one = region_text_loss(features, labels, nouns, 10.0, torch.arange(len(nouns)))
    assert torch.stack(shares['losses']).mean().item() == pytest.approx(one.item(), rel=1e-5)
    assert shares['samples'][0][0] == shares['samples'][1][0] == 4
    assert shares['samples'][0] != shares['samples'][1]


def test_num_sampled_of_zero_raises():
    with pytest.raises(ValueError, match=r'num_sampled.*\b0\b'):
        RegionTextLoss(num_sampled=0)
