"""The centred cosine and confidence weights by a plain loop; all new losses on two processes."""

import sys

import pytest
import torch

from clipself_mm.losses import CentredCosineLoss
from tests.commands import call
from tests.losses import two_process_ingredients
from tests.losses.stub_batches import random_map


def centred_loss(dim=6, **options):
    loss = CentredCosineLoss(**options)
    loss.set_dim(dim)
    return loss


def regions(count, seed=0):
    features = random_map(seed, size=(1, 1), count=2 * count).flatten(1)
    return features[:count].requires_grad_(), features[count:].detach()


def loop(student, teacher, mean, centred, confidence):
    total = weights = 0
    for one, other in zip(student, teacher, strict=True):
        one, away = one / one.norm(), other / other.norm() - mean
        if centred:
            one, other = one - mean, away
        weight = away.norm().item() ** confidence
        total += weight * (1 - one @ other / one.norm() / other.norm()).item()
        weights += weight
    return total / weights


@pytest.mark.parametrize('centred', [True, False])
@pytest.mark.parametrize('confidence', [0, 2.0])
def test_steps_by_a_plain_loop_with_a_running_mean(centred, confidence):
    """The first regions set the mean, a batch without regions leaves it."""
    loss = centred_loss(momentum=0.7, centred=centred, confidence=confidence, loss_weight=2.0)
    mean = None
    for seed, count in enumerate((0, 3, 0, 4)):
        student, teacher = regions(count, seed)
        found = loss(student, teacher)
        if not count:
            assert found == 0
            continue
        batch_mean = sum(row / row.norm() for row in teacher) / count
        mean = batch_mean if mean is None else 0.7 * mean + 0.3 * batch_mean
        expected = 2 * loop(student, teacher, mean, centred, confidence)
        assert found.item() == pytest.approx(expected, rel=1e-5)
        torch.testing.assert_close(loss.mean, mean)


def test_the_student_alone_is_trained():
    student, teacher = regions(3)
    loss = centred_loss(confidence=1.0)
    loss(student, teacher.requires_grad_()).backward()
    assert student.grad.any(dim=1).all()
    assert teacher.grad is None
    assert not loss.mean.requires_grad


@pytest.mark.parametrize('count', [0, 1])
def test_no_region_and_a_first_one_alone_give_a_finite_gradient(count):
    """A first region is the mean itself: nothing is left of its target."""
    student, teacher = regions(count)
    loss = centred_loss(confidence=1.0)(student, teacher)
    loss.backward()
    assert loss == 0
    assert student.grad.isfinite().all()


def test_half_precision_is_not_used_inside():
    student, teacher = regions(4)
    exact = centred_loss(confidence=1.0)(student, teacher)
    with torch.autocast('cpu', torch.bfloat16):
        assert centred_loss(confidence=1.0)(student, teacher).equal(exact)


@pytest.mark.parametrize('options', [dict(momentum=1), dict(momentum=-1), dict(confidence=-1)])
def test_values_out_of_range_are_refused(options):
    ((name, value),) = options.items()
    with pytest.raises(ValueError, match=rf'{name} must.*got {value}'):
        CentredCosineLoss(**options)


@pytest.mark.slow
def test_two_processes_have_the_gradients_and_memories_of_one(tmp_path):
    """Three losses, three steps of unequal shares; in the second step one process has no region."""
    out = tmp_path / 'out'
    call([sys.executable, two_process_ingredients.__file__, out], tmp_path)
    found = torch.load(f'{out}.0'), torch.load(f'{out}.1')
    expected = two_process_ingredients.train(rank=0, processes=1)
    assert len(expected) == 3 * 3 + 2
    for rank in found:
        for name, value in expected.items():
            torch.testing.assert_close(rank[name], value, msg=lambda text, n=name: f'{n}: {text}')
    assert all(found[0][name].equal(found[1][name]) for name in ('queue', 'mean'))
