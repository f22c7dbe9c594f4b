"""Token distillation by a plain loop over cells and regions; cells that are left out."""

import pytest
import torch

from clipself_mm.losses import TokenDistillLoss
from tests.losses.stub_batches import random_map, stub_batch

BOXES = [torch.tensor([[0.0, 0, 16, 8], [4, 0, 16, 16]]), torch.tensor([[16.0, 8, 23, 16]])]
TARGETS = random_map(1, size=(1, 1), count=3).flatten(1)


def loop(dense):
    """The loss of maps of 2 x 3 cells of 8 px, cell by cell."""
    losses, region = [], 0
    for image, boxes in enumerate(BOXES):
        distances = []
        for row in range(2):
            for column in range(3):
                wanted = torch.zeros(6)
                for number, (x0, y0, x1, y1) in enumerate(boxes.tolist(), region):
                    width = min(x1, 8 * column + 8) - max(x0, 8 * column)
                    height = min(y1, 8 * row + 8) - max(y0, 8 * row)
                    target = TARGETS[number]
                    wanted += max(width, 0) * max(height, 0) * target / target.norm()
                if wanted.any():
                    token = dense[image, :, row, column]
                    distances.append(1 - token @ wanted / token.norm() / wanted.norm())
        region += len(boxes)
        losses.append(torch.stack(distances).mean())
    return torch.stack(losses).mean()


def test_a_plain_loop_over_cells():
    dense = random_map(0)
    batch = stub_batch(dense, boxes_px=BOXES, targets=TARGETS)
    loss = TokenDistillLoss(loss_weight=2.0)(batch)
    assert loss.item() == pytest.approx(2 * loop(dense).item(), rel=1e-5)
    with torch.autocast('cpu', torch.bfloat16):
        assert TokenDistillLoss(loss_weight=2.0)(batch).equal(loss)


def test_cells_of_padding_alone_and_without_a_region_have_no_gradient():
    """The first image ends at 8 px, in the boxes of both: its second row is padding."""
    dense = random_map(0).requires_grad_()
    inside = torch.ones(2, 2, 3, dtype=torch.bool)
    inside[0, 1] = False
    batch = stub_batch(dense, inside=inside, boxes_px=BOXES, targets=TARGETS)
    TokenDistillLoss()(batch).backward()
    trained = dense.grad.any(dim=1).int().tolist()
    assert trained == [[[1, 1, 0], [0, 0, 0]], [[0, 0, 0], [0, 0, 1]]]


def test_an_image_without_regions_has_the_loss_0():
    dense = random_map(0).requires_grad_()
    one = stub_batch(dense[:1], boxes_px=BOXES[:1], targets=TARGETS[:2])
    two = stub_batch(dense, boxes_px=[BOXES[0], torch.zeros(0, 4)], targets=TARGETS[:2])
    torch.testing.assert_close(TokenDistillLoss()(two), TokenDistillLoss()(one) / 2)
    none = [torch.zeros(0, 4)] * 2
    loss = TokenDistillLoss()(stub_batch(dense, boxes_px=none, targets=TARGETS[:0]))
    loss.backward()
    assert loss == 0
    assert not dense.grad.any()
