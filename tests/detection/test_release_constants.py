"""Constants of the official implementation, in what the configs build."""

import json
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.registry import METRICS, MODELS, init_default_scope
from mmengine.structures import InstanceData

from tests.evaluation.toy_detection import annotation, content_of, samples

CONFIGS = Path(__file__).parents[2] / 'configs'
FVIT = sorted((CONFIGS / 'fvit').glob('fvit_*.py'))
TRANSFER = [
    CONFIGS / f'transfer/fvit_eva02-l14-336_ov-lvis-to-{n}.py' for n in ('coco', 'objects365v1')
]
CLIP_COLOUR = [0.48145466 * 255, 0.4578275 * 255, 0.40821073 * 255]
IMAGENET_COLOUR = [0.485 * 255, 0.456 * 255, 0.406 * 255]


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmdet')


@pytest.mark.parametrize('path', [p for p in FVIT if 'openai' in p.name], ids=lambda p: p.stem)
def test_openai_detectors_normalise_as_clip(path):
    """CLIP's mean colour is 0, CLIP's deviation above it 1; mmdet reads BGR."""
    preprocessor = MODELS.build(Config.fromfile(path).model.data_preprocessor)
    deviation = torch.tensor([0.26862954, 0.26130258, 0.27577711]) * 255
    for steps in (0, 1):
        colour = torch.tensor(CLIP_COLOUR) + steps * deviation
        image = colour.flip(0)[:, None, None].expand(3, 32, 32)
        seen = preprocessor(dict(inputs=[image], data_samples=None))['inputs'][:, :, :32, :32]
        assert (seen - steps).abs().max() < 1e-4


def test_eva_detectors_normalise_as_imagenet():
    paths = [p for p in FVIT if 'eva02' in p.name and 'norm' not in p.name]
    assert paths
    for path in paths:
        preprocessor = MODELS.build(Config.fromfile(path).model.data_preprocessor)
        image = torch.tensor(IMAGENET_COLOUR).flip(0)[:, None, None].expand(3, 32, 32)
        assert preprocessor(dict(inputs=[image], data_samples=None))['inputs'].abs().max() < 1e-4


@pytest.mark.parametrize('path', FVIT[::6] + TRANSFER, ids=lambda p: p.stem)
def test_the_rpn_keeps_2000_boxes_per_level(path, monkeypatch):
    """Before NMS, at test as in training; 1,000 per image remain."""
    model = Config.fromfile(path).model
    head = MODELS.build(
        dict(model.rpn_head, train_cfg=model.train_cfg.rpn, test_cfg=model.test_cfg.rpn)
    )
    post_process, counts = head._bbox_post_process, []

    def count(results: InstanceData, **settings):
        counts.append(len(results))
        return post_process(results=results, **settings)

    monkeypatch.setattr(head, '_bbox_post_process', count)
    generator = torch.Generator().manual_seed(0)
    sides = (40, 20, 10, 5, 3)  # 4,800, 1,200, 300, 75 and 27 anchors
    scores = [torch.randn(1, 3, side, side, generator=generator) for side in sides]
    deltas = [torch.zeros(1, 12, side, side) for side in sides]
    meta = dict(img_shape=(160, 160))
    for cfg in (None, model.train_cfg.rpn_proposal):
        head.predict_by_feat(scores, deltas, batch_img_metas=[meta], cfg=cfg)
    assert counts == [2000 + 1200 + 300 + 75 + 27] * 2


@pytest.mark.parametrize('path', TRANSFER, ids=lambda p: p.stem)
def test_transfer_counts_300_detections_but_100_for_ap(path, tmp_path):
    """Only the 101st detection is correct."""
    truth = content_of([1], [annotation(1, 'ant', [0, 0, 20, 20])])
    (tmp_path / 'truth.json').write_text(json.dumps(truth))
    judge = Evaluator([METRICS.build(Config.fromfile(path).test_evaluator)])
    judge.dataset_meta = dict(classes=('ant',), ann_file=str(tmp_path / 'truth.json'))
    wrong = [('ant', [200, 200, 20, 20], 0.9)] * 100
    judge.process(samples({1: [*wrong, ('ant', [0, 0, 20, 20], 0.1)]}, masks=False))
    numbers = judge.evaluate(1)
    assert numbers['coco/all_ap'] == 0
    for name in ('ap50', 'ap75', 'ap_s'):
        assert numbers[f'coco/all_{name}'] == pytest.approx(1 / 101)
