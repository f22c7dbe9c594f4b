"""Multi-class NMS: mmdet's result from fewer candidates."""

import pytest
import torch
from mmdet.models.layers import multiclass_nms

from clipself_mm.detection import topk_multiclass_nms as module
from clipself_mm.detection.topk_multiclass_nms import topk_multiclass_nms

NMS = dict(type='nms', iou_threshold=0.5)


def crowd(regions, classes, per_class=False, seed=0):
    """Boxes on whole pixels, without rounding, and scores without ties."""
    source = torch.Generator().manual_seed(seed)
    rows = regions * (classes if per_class else 1)
    corner = torch.randint(0, 40, (rows, 2), generator=source)
    size = torch.randint(8, 25, (rows, 2), generator=source)
    boxes = torch.cat([corner, corner + size], dim=1).float().view(regions, -1)
    scores = torch.randperm(regions * classes, generator=source).float().view(regions, classes)
    return boxes, scores / scores.numel()


@pytest.mark.parametrize('per_class', [False, True])
@pytest.mark.parametrize(
    ('score_thr', 'max_num', 'nms'),
    [
        (0.0, 30, NMS),  # the first candidates do
        (0.0, 2000, NMS),  # they do not
        (0.97, 100, NMS),  # few pass
        (0.0, -1, NMS),
        (0.5, 40, dict(type='nms', iou_threshold=0.5, class_agnostic=True)),
        (0.9, 50, dict(type='soft_nms', iou_threshold=0.5, min_score=0.01)),
    ],
)
def test_equals_mmdet(per_class, score_thr, max_num, nms):
    boxes, scores = crowd(60, 40, per_class)
    found = topk_multiclass_nms(boxes, scores, score_thr, nms, max_num)
    background = torch.zeros(60, 1)
    dets, labels = multiclass_nms(
        boxes, torch.cat([scores, background], dim=1), score_thr, nms, max_num
    )
    torch.testing.assert_close(found[0], dets[:, :4])
    torch.testing.assert_close(found[1], dets[:, 4])
    assert torch.equal(found[2], labels)
    assert len(labels)


def test_overlapping_boxes_by_hand():
    """Two boxes that overlap by 3 / 4 of their union, in two classes."""
    boxes = torch.tensor([[0.0, 0.0, 8.0, 7.0], [0.0, 0.0, 6.0, 7.0]])
    scores = torch.tensor([[0.9, 0.2], [0.8, 0.3]])
    found = topk_multiclass_nms(boxes, scores, 0.1, NMS, 3)
    assert torch.equal(found[0], boxes)
    assert torch.equal(found[1], torch.tensor([0.9, 0.3]))
    assert found[2].tolist() == [0, 1]


def test_nan_scores_do_not_affect_other_regions():
    """As in mmdet: an overflow in one region removes only that region."""
    boxes, scores = crowd(60, 40)
    scores[7] = torch.nan
    found = topk_multiclass_nms(boxes, scores, 0.0, NMS, 5)
    scores[7] = 0
    expected = topk_multiclass_nms(boxes, scores, 0.0, NMS, 5)
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one, other)
    assert len(found[0]) == 5


def test_no_box_above_the_threshold():
    boxes, scores = crowd(5, 3)
    found = topk_multiclass_nms(boxes, scores, 2.0, NMS, 10)
    assert [tuple(item.shape) for item in found] == [(0, 4), (0,), (0,)]


@pytest.mark.parametrize('classes', [65, 1203])
def test_the_class_count_does_not_matter(classes, monkeypatch):
    """NMS gets few candidates of 1,000 regions, for any number of classes."""
    seen = []

    def counting(boxes, *args):
        seen.append(len(boxes))
        return module_nms(boxes, *args)

    module_nms = module.batched_nms
    monkeypatch.setattr(module, 'batched_nms', counting)
    boxes, scores = crowd(1000, classes)
    assert len(topk_multiclass_nms(boxes, scores, 0.0, NMS, 100)[0]) == 100
    assert max(seen) <= 2000
