"""Correlation distillation by hand and by plain loops; gradient of a row."""

import math

import pytest
import torch

from clipself_mm.losses import CorrelationDistillLoss, correlation_cross_entropy
from clipself_mm.losses.correlation_distill_loss import scaled_correlation
from tests.losses.stub_batches import random_map, stub_batch


def test_three_tokens_by_hand():
    """Cosines (1, 0, .6), (0, 1, .8), (.6, .8, 1); the last row is stretched from .6..1 to 0..1."""
    tokens = torch.tensor([[2.0, 0.0], [0.0, 5.0], [0.6, 0.8]])
    expected = torch.tensor([[1, 0, 0.6], [0, 1, 0.8], [0, 0.5, 1]])
    torch.testing.assert_close(scaled_correlation(tokens), expected)
    assert scaled_correlation(torch.ones(3, 2)).eq(0).all()


def test_two_tokens_by_hand():
    """Rows of two are always (1, 0) and (0, 1) when scaled, whatever the angle, or all zero."""
    apart = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    p = 1 / (1 + math.exp(-2))  # softmax of (1, 0) / 0.5
    entropy = -(p * math.log(p) + (1 - p) * math.log(1 - p))
    near = torch.tensor([[1.0, 0.0], [0.9, 0.1]])
    assert correlation_cross_entropy(near, apart, 0.5).item() == pytest.approx(entropy)
    same = torch.ones(2, 2)
    assert correlation_cross_entropy(same, apart, 0.5).item() == pytest.approx(math.log(2))


def loop(student, teacher, temperature):
    """The formula of one image's tokens, number by number."""

    def row(tokens, i):
        unit = tokens / tokens.norm(dim=1, keepdim=True)
        cosines = [float(unit[i] @ other) for other in unit]
        low, high = min(cosines), max(cosines)
        powers = [math.exp((c - low) / (high - low) / temperature) for c in cosines]
        return [power / sum(powers) for power in powers]

    total = 0
    for i in range(len(student)):
        total -= sum(u * math.log(z) for u, z in zip(row(teacher, i), row(student, i), strict=True))
    return total / len(student)


def test_a_batch_is_the_mean_over_images_of_a_plain_loop_over_inside_cells():
    student, teacher = random_map(0), random_map(1, channels=4)
    inside = torch.tensor([[[1, 1, 0], [1, 1, 0]], [[1, 1, 1], [0, 0, 0]]]).bool()
    batch = stub_batch(student, teacher, inside=inside)
    expected = 0.0
    for image, cells in enumerate(([(0, 0), (0, 1), (1, 0), (1, 1)], [(0, 0), (0, 1), (0, 2)])):
        tokens = [
            torch.stack([features[image][:, r, c] for r, c in cells])
            for features in (student, teacher)
        ]
        expected += loop(*tokens, 0.2) / 2
    found = CorrelationDistillLoss(loss_weight=3.0)(batch)
    assert found.item() == pytest.approx(3 * expected, rel=1e-5)
    padded = student.clone()
    padded[~inside[:, None].expand_as(student)] = 7
    assert (
        CorrelationDistillLoss(loss_weight=3.0)(stub_batch(padded, teacher, inside=inside)) == found
    )


def test_a_row_is_trained_through_its_own_token_alone():
    tokens = random_map(0, count=1)[0].flatten(1).T.clone().requires_grad_()
    scaled_correlation(tokens)[2].square().sum().backward()
    assert [bool(row.any()) for row in tokens.grad] == [False, False, True, False, False, False]


def test_minimising_it_gives_the_teachers_correlations():
    torch.manual_seed(0)
    teacher = random_map(1)
    student = torch.nn.Parameter(random_map(0))
    optimizer, loss = torch.optim.Adam([student], lr=0.05), CorrelationDistillLoss()
    floor = loss(stub_batch(teacher, teacher)).item()
    first = loss(stub_batch(student, teacher)).item()
    for _ in range(100):
        optimizer.zero_grad()
        value = loss(stub_batch(student, teacher))
        value.backward()
        optimizer.step()
    assert floor <= value.item() < floor + 0.05 * (first - floor)


def test_half_precision_does_not_reach_the_correlations():
    student, teacher = random_map(0, channels=64), random_map(1, channels=64)
    exact = CorrelationDistillLoss()(stub_batch(student, teacher))
    with torch.autocast('cpu', torch.bfloat16):
        assert CorrelationDistillLoss()(stub_batch(student, teacher)).equal(exact)


def test_the_teacher_runs_without_gradient(micro_clip):
    from clipself_mm.clip import build_tower

    tower = build_tower(micro_clip)
    dense = random_map(0, size=(4, 4), count=1).requires_grad_()
    CorrelationDistillLoss()(stub_batch(dense, teacher=tower)).backward()
    assert dense.grad.any()
    assert all(p.grad is None for p in tower.parameters())
