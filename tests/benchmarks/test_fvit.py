"""The benchmark's stages are the detector's own steps; the plain way gives the same detections."""

import pytest
import torch
from mmengine.registry import MODELS, init_default_scope
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.fvit_reference import PlainFViTBBoxHead, plain
from benchmarks.fvit_stages import Stages, predict, train
from benchmarks.reference_mode import ReferenceOpenCLIPViT
from clipself_mm.datasets import load_vocabulary
from tests.commands import TORCH
from tests.detection.tiny_fvit import DIM, build_fvit, images, samples, tiny_config

HEAD = 'model.roi_head.bbox_head'


@pytest.fixture(scope='module')
def words(tmp_path_factory):
    path = str(tmp_path_factory.mktemp('words') / 'random.pt')
    names = [*load_vocabulary('shapes_ov').classes, 'background']
    torch.save({name: torch.randn(DIM) for name in names}, path)
    return {f'{HEAD}.cls_predictor_cfg.embeddings': path}


def test_stages_are_the_prediction(micro_clip, words):
    model = build_fvit(micro_clip, **words)
    stages, counts = Stages(), Stages(count=True)
    staged = predict(model, dict(inputs=images(), data_samples=samples()), stages)
    counted = predict(model, dict(inputs=images(), data_samples=samples()), counts)
    whole = model.predict(images(), samples(), rescale=False)
    for one, other, sample in zip(staged, counted, whole, strict=True):
        assert torch.equal(one.bboxes, sample.pred_instances.bboxes)
        assert torch.equal(one.scores, other.scores)
        assert torch.equal(one.scores, sample.pred_instances.scores)
    assert list(stages.found) == list(counts.found)
    # Four convolutions of 16 channels on 7 x 7 cells, then layers of 784, 16 and 16 and 16
    # channels, 66 classes and 4 sides, for each of 20 proposals of 2 images.
    convs, layers = 4 * 49 * 16 * 16 * 9, 784 * 16 + 3 * 16 * 16 + 66 * 16 + 4 * 16
    assert counts.found['box head'] == 2 * 40 * (convs + layers)
    assert counts.found['RoIAlign'] == 0


def test_stages_of_training(micro_clip, words):
    model = build_fvit(micro_clip, **words).train()
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-3)
    before = model.neck.lateral_convs[0].conv.weight.clone()
    counts = Stages(count=True)
    train(model, dict(inputs=images(), data_samples=samples()), counts, optimizer)
    assert list(counts.found) == ['backbone', 'heads', 'backward', 'optimizer']
    assert not torch.equal(before, model.neck.lateral_convs[0].conv.weight)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.backbone(images())
    assert counts.found['backbone'] == counter.get_total_flops()
    # Two products for each of the forward's, but the frozen tower has none.
    forward, backward = counts.found['heads'], counts.found['backward']
    assert 0 < forward < backward
    if TORCH >= (2, 2):  # the counter of 2.1 finds more in a convolution's backward
        assert backward < 2 * (forward + counts.found['backbone'])


def test_the_plain_head_finds_the_same(micro_clip, words):
    ours = build_fvit(micro_clip, **words)
    plain = build_fvit(micro_clip, **words, **{f'{HEAD}.type': 'PlainFViTBBoxHead'})
    assert type(plain.roi_head.bbox_head) is PlainFViTBBoxHead
    plain.load_state_dict(ours.state_dict())
    for one, other in zip(
        ours.predict(images(), samples()), plain.predict(images(), samples()), strict=True
    ):
        torch.testing.assert_close(one.pred_instances.bboxes, other.pred_instances.bboxes)
        torch.testing.assert_close(one.pred_instances.scores, other.pred_instances.scores)


def test_a_plain_config_is_built_of_the_plain_parts(micro_clip, words):
    config = plain(tiny_config(micro_clip, **words).model)
    init_default_scope('mmdet')
    model = MODELS.build(config).eval()
    assert type(model.roi_head.bbox_head) is PlainFViTBBoxHead
    assert type(model.backbone.tower) is ReferenceOpenCLIPViT
    ours = build_fvit(micro_clip, **words)
    ours.backbone.load_state_dict(model.backbone.state_dict())
    with torch.no_grad():
        for one, other in zip(model.backbone(images()), ours.backbone(images()), strict=True):
            torch.testing.assert_close(one, other.view_as(one), rtol=1e-4, atol=1e-4)
