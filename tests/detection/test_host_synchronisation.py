"""What of this package waits for the device in a detector's step: mmdet's own parts do so often.

Sampling and suppression have results whose size depends on values. Nothing of ours waits in a
training step, and in a prediction twice an image: for the number of boxes above the threshold,
and for the names of the labels when all else is done.
"""

import pytest
import torch

from clipself_mm.datasets import load_vocabulary
from tests.detection.tiny_fvit import DIM, build_fvit, images, samples
from tests.waiting import Waits


@pytest.fixture(scope='module')
def model(micro_clip, tmp_path_factory):
    path = tmp_path_factory.mktemp('words') / 'random.pt'
    names = [*load_vocabulary('shapes_ov').classes, 'background']
    torch.save({name: torch.randn(DIM) for name in names}, path)
    return build_fvit(
        micro_clip, **{'model.roi_head.bbox_head.cls_predictor_cfg.embeddings': str(path)}
    )


def test_a_training_step_waits_in_mmdet_only(model):
    model.train()
    model.loss(images(), samples())  # fills caches
    with Waits() as waits:
        loss, _ = model.parse_losses(model.loss(images(), samples()))
        loss.backward()
    assert waits.of('clipself_mm') == {}
    assert waits.of('mmdet')  # the check sees what waits


def test_a_prediction_waits_twice_an_image(model):
    model.eval()
    with Waits() as waits, torch.no_grad():
        model.predict(images(), samples())
    assert waits.of('clipself_mm') == {'topk_multiclass_nms': 2, '_predict_rois': 2}


@pytest.mark.parametrize('leave', [torch.Tensor.tolist, torch.Tensor.cpu, torch.Tensor.numpy])
def test_what_leaves_the_device_is_seen(leave):
    with Waits() as waits:
        leave(torch.zeros(2))
    assert sum(waits.found.values()) == 1


def test_constants_are_seen():
    with Waits() as waits:
        torch.zeros(2).new_tensor([1.0, 2.0])
    assert waits.found
