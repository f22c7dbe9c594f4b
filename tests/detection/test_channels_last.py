"""Channels last: the same numbers, convolutions in that layout, RoIAlign in its own."""

import copy

import pytest
import torch

from clipself_mm.datasets import load_vocabulary
from tests.detection.tiny_fvit import DIM, build_fvit, images, samples


@pytest.fixture(scope='module')
def pair(micro_clip, tmp_path_factory):
    """The same detector, as it is and channels last."""
    path = tmp_path_factory.mktemp('words') / 'random.pt'
    names = [*load_vocabulary('shapes_ov').classes, 'background']
    torch.save({name: torch.randn(DIM) for name in names}, path)
    words = {'model.roi_head.bbox_head.cls_predictor_cfg.embeddings': str(path)}
    plain = build_fvit(micro_clip, **words)
    other = build_fvit(micro_clip, **words, **{'model.channels_last': True})
    other.load_state_dict(plain.state_dict())
    return plain, other


def is_last(tensor):
    return tensor.is_contiguous(memory_format=torch.channels_last)


def layouts(model):
    """Whether the maps of the neck are channels last, and what RoIAlign gets is contiguous."""
    seen = dict(neck=[], pooled=[])
    pooling = model.roi_head.bbox_roi_extractor.roi_layers
    hooks = [
        model.neck.register_forward_hook(lambda _, __, out: seen['neck'].extend(map(is_last, out))),
        *(
            layer.register_forward_hook(
                lambda _, inputs, __: seen['pooled'].append(inputs[0].is_contiguous())
            )
            for layer in pooling
        ),
    ]
    return seen, hooks


def test_a_step_has_the_same_loss_and_gradients(pair):
    found = []
    for model in pair:
        model = copy.deepcopy(model).train()
        seen, _ = layouts(model)
        torch.manual_seed(0)  # of the sampler
        loss, _ = model.parse_losses(model.loss(images(), samples()))
        loss.backward()
        gradients = {n: p.grad for n, p in model.named_parameters() if p.requires_grad}
        found.append((seen, loss, gradients))
    (plain, loss, gradients), (other, other_loss, others) = found
    assert not any(plain['neck'])
    assert all(other['neck'])
    assert all(other['pooled'])
    torch.testing.assert_close(other_loss, loss, rtol=1e-4, atol=1e-5)
    for name, gradient in gradients.items():
        torch.testing.assert_close(others[name], gradient, rtol=1e-2, atol=1e-4)
        if gradient.ndim == 4 and 'tower' not in name:
            assert is_last(others[name]), name  # as the weights, and DDP's buckets


def test_a_prediction_is_the_same(pair):
    with torch.no_grad():
        one, other = (model.predict(images(), samples()) for model in pair)
    for a, b in zip(one, other, strict=True):
        torch.testing.assert_close(a.pred_instances.scores, b.pred_instances.scores)
        torch.testing.assert_close(a.pred_instances.bboxes, b.pred_instances.bboxes)


def test_its_checkpoint_loads_anywhere(pair, tmp_path):
    plain, other = pair
    torch.save(dict(state_dict=other.state_dict()), tmp_path / 'last.pth')
    from mmengine.runner import load_checkpoint

    fresh = copy.deepcopy(plain)
    load_checkpoint(fresh, str(tmp_path / 'last.pth'), strict=True)
    for name, value in fresh.state_dict().items():
        assert torch.equal(value, plain.state_dict()[name])
        assert value.ndim != 4 or value.is_contiguous()
