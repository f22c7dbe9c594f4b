"""DeCLIP's context loss by hand and by plain loops, and the foundation model's input."""

import pytest
import torch

from clipself_mm.losses import ContextDistillLoss, correlation_distance
from tests.losses.stub_batches import MEAN, STD, random_map, stub_batch

SMALL = dict(
    type='FoundationModel',
    model='vit_tiny_patch16_224',
    options=dict(embed_dim=8, depth=1, num_heads=1),
)


class Answer(torch.nn.Module):
    """A foundation model that returns one map and records its inputs."""

    def __init__(self, features):
        super().__init__()
        self.features = features

    def forward(self, pixels, grid):
        self.pixels, self.grid = pixels, grid
        return self.features


def loss_with(features, **options):
    loss = ContextDistillLoss(foundation=SMALL, **options)
    loss.foundation = Answer(features)
    return loss


def test_two_tokens_by_hand():
    """The student's cosines are (1, 0), (0, 1), the reference's (1, .6), (.6, 1): .6 off a row."""
    student = torch.tensor([[3.0, 0.0], [0.0, 1.0]])
    reference = torch.tensor([[1.0, 0.0, 0.0], [0.6, 0.8, 0.0]])
    assert correlation_distance(student, reference).item() == pytest.approx(0.6)
    opposite = torch.tensor([[1.0], [-2.0]])  # cosines (1, -1), (-1, 1): 1 + .6 off the reference
    assert correlation_distance(opposite, reference).item() == pytest.approx(1.6)


def test_equal_correlations_give_zero_and_a_finite_gradient():
    student = random_map(0)[0].flatten(1).T.clone().requires_grad_()
    loss = correlation_distance(student, 2 * student.detach())
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-6)
    assert student.grad.isfinite().all()


def test_a_batch_is_the_mean_over_images_of_a_plain_loop_over_inside_cells():
    context, reference = random_map(0), random_map(1, channels=4)
    inside = torch.tensor([[[1, 1, 0], [1, 1, 0]], [[1, 1, 1], [0, 0, 0]]]).bool()
    expected = 0.0
    for image, cells in enumerate(([(0, 0), (0, 1), (1, 0), (1, 1)], [(0, 0), (0, 1), (0, 2)])):
        for i in cells:
            squares = 0.0
            for j in cells:
                off = [
                    torch.cosine_similarity(m[image][:, i[0], i[1]], m[image][:, j[0], j[1]], dim=0)
                    for m in (reference, context)
                ]
                squares += float(off[0] - off[1]) ** 2
            expected += squares**0.5 / len(cells) / 2
    loss = loss_with(reference, loss_weight=0.25)
    found = loss(stub_batch(random_map(2), context=context, inside=inside))
    assert found.item() == pytest.approx(0.25 * expected, rel=1e-5)


def test_the_foundation_model_gets_pixels_and_the_grid():
    """CLIP's normalisation is undone: padding, 0 before it, is 0 again."""
    loss = loss_with(random_map(1))
    pixels = torch.rand(2, 3, 2, 3, generator=torch.Generator().manual_seed(0))
    pixels[:, :, :, 2] = 0
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (MEAN, STD))
    batch = stub_batch(random_map(2), context=random_map(0))
    loss(batch._replace(images=(pixels - mean) / std))
    torch.testing.assert_close(loss.foundation.pixels, pixels)
    assert loss.foundation.grid == (2, 3)


def test_a_tower_without_queries_raises():
    with pytest.raises(
        ValueError, match=r"ContextDistillLoss.*model\.tower.*last_block='qq'.*'csa'"
    ):
        loss_with(None)(stub_batch(random_map(0)))
