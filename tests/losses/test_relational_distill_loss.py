"""The relational loss by a plain loop over regions and a queue, step by step."""

import math

import pytest
import torch

from clipself_mm.losses import RelationalDistillLoss
from tests.losses.stub_batches import random_map, stub_batch


def queue_loss(size, dim=6, **options):
    loss = RelationalDistillLoss(queue_size=size, **options)
    loss.set_dim(dim)
    return loss


def region_batch(count, seed=0, channels=6):
    """A batch of one image with `count` regions of random features and targets."""
    features = random_map(seed, channels, size=(1, 1), count=2 * count).flatten(1)
    batch = stub_batch(torch.zeros(1, channels, 1, 1))
    return batch._replace(
        pooled=features[:count].requires_grad_(), targets=features[count:].detach()
    )


def cosine(one, other):
    return (one @ other / one.norm() / other.norm()).item()


def loop(batch, queue, temperature):
    """KL divergence of softmax(cos / T) over a list of vectors, number by number."""
    total = 0
    for student, teacher in zip(batch.pooled, batch.targets, strict=True):
        found, wanted = (
            [math.exp(cosine(item, other) / temperature) for other in queue]
            for item in (student, teacher)
        )
        for p, q in zip(found, wanted, strict=True):
            total += q / sum(wanted) * math.log(q / sum(wanted) / (p / sum(found)))
    return total / len(batch.pooled)


def test_steps_by_a_plain_loop_over_a_queue_that_fills_and_forgets():
    loss, queue = queue_loss(7, temperature=0.3, loss_weight=2.0), []
    for seed, count in enumerate((3, 2, 0, 4, 9)):
        batch = region_batch(count, seed)
        queue = [*batch.targets, *queue][:7]
        found = loss(batch)
        if not count:
            assert found == 0
            continue
        assert found.item() == pytest.approx(2 * loop(batch, queue, 0.3), rel=1e-4)
        kept = loss.queue[: len(queue)]
        torch.testing.assert_close(kept, torch.stack([row / row.norm() for row in queue]))
        assert not loss.queue[len(queue) :].any()


def test_the_pooled_features_are_trained_and_the_queue_is_not():
    loss, batch = queue_loss(7), region_batch(3)
    loss(batch).backward()
    assert batch.pooled.grad.any(dim=1).all()
    assert not loss.queue.requires_grad
    equal = batch._replace(pooled=3 * batch.targets)
    assert abs(loss(equal).item()) < 1e-5


def test_no_region_ever_gives_a_zero_with_a_gradient():
    batch = region_batch(0)
    loss = queue_loss(7)(batch)
    loss.backward()
    assert loss == 0
    assert batch.pooled.grad.shape == (0, 6)


def test_half_precision_does_not_reach_the_similarities():
    batch = region_batch(4, channels=64)
    exact = queue_loss(7, 64)(batch)
    with torch.autocast('cpu', torch.bfloat16):
        assert queue_loss(7, 64)(batch).equal(exact)


@pytest.mark.parametrize('options', [dict(queue_size=0), dict(temperature=0)])
def test_a_queue_and_a_temperature_are_above_0(options):
    with pytest.raises(ValueError, match=r'queue_size.*temperature.*\b0\b'):
        RelationalDistillLoss(**options)
