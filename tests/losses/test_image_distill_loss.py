"""The loss on image embeddings by a plain loop over the first crops of each image."""

from types import SimpleNamespace

import pytest
import torch

from clipself_mm.losses import ImageDistillLoss
from tests.losses.stub_batches import random_map, stub_batch


def image_batch(counts, weight=None):
    """Crops of 3 values; the student is a linear map of them."""
    crops = random_map(0, channels=3, size=(1, 1), count=sum(counts))
    targets = random_map(1, size=(1, 1), count=sum(counts)).flatten(1)
    weight = torch.ones(3, 6) if weight is None else weight
    student = SimpleNamespace(encode_image=lambda images: images.flatten(1) @ weight)
    boxes = [torch.tensor([[0.0, 0, 9, 9]]).repeat(count, 1) for count in counts]
    dense = random_map(2, count=len(counts)).requires_grad_()
    return stub_batch(dense, student=student, boxes_px=boxes, targets=targets, crops=crops)


@pytest.mark.parametrize(('most', 'rows'), [(1, [0, 3]), (2, [0, 1, 3]), (9, [0, 1, 2, 3])])
def test_a_plain_loop_over_the_first_crops(most, rows):
    weight = random_map(3, size=(1, 1), count=3).flatten(1).requires_grad_()
    batch = image_batch([3, 0, 1], weight)
    expected = 0
    for row in rows:
        found, target = batch.crops[row].flatten() @ weight, batch.targets[row]
        expected += (1 - found @ target / found.norm() / target.norm()) / len(rows)
    loss = ImageDistillLoss(crops=most, loss_weight=3.0)(batch)
    assert loss.item() == pytest.approx(3 * expected.item(), rel=1e-5)
    loss.backward()
    assert weight.grad.any()
    assert batch.dense.grad is None


def test_a_batch_without_regions_gives_zero_gradients():
    batch = image_batch([0, 0])
    loss = ImageDistillLoss()(batch)
    loss.backward()
    assert loss == 0
    assert not batch.dense.grad.any()


@pytest.mark.parametrize('crops', [0, 1.5])
def test_crops_are_a_whole_number(crops):
    with pytest.raises(ValueError, match=f'crops.*{crops}'):
        ImageDistillLoss(crops=crops)
