"""Ranking of proposals by generic words, against a loop from its formula; off by default."""

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.registry import MODELS
from torchvision.ops import roi_align

from clipself_mm.clip import TextTower
from clipself_mm.detection import GenericForeground
from clipself_mm.detection.onnx_detector import unsupported
from tests.detection.tiny_fvit import DIM, PATCH, build_fvit, images, samples, tiny_config

SCORER = dict(
    type='GenericForeground',
    weight=0.4,
    keep=50,
    temperature=20.0,
    foreground=['object', 'animal'],
    background=['sky', 'grass', 'blur'],
)


@pytest.fixture(scope='module')
def plain(micro_clip):
    return build_fvit(micro_clip)


@pytest.fixture(scope='module')
def ranking(micro_clip):
    return build_fvit(micro_clip, **{'model.proposal_scorer': SCORER})


@torch.no_grad()
def proposals_of(model, batch, monkeypatch, given=None):
    """What reaches the RoI head."""
    seen, predict = [], model.roi_head.predict

    def record(pyramid, found, *args, **options):
        seen.extend(found)
        return predict(pyramid, found, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(model.roi_head, 'predict', record)
        model.predict(batch, given or samples(len(batch)))
    return seen


@torch.no_grad()
def ranked_by_hand(model, clip, batch):
    """The best 20 of the RPN's best 50 per image, as (score, box) pairs."""
    _, dense = model.backbone.forward_with_dense(batch)
    metas = [sample.metainfo for sample in samples(len(batch))]
    cfg = ConfigDict(model.test_cfg.rpn, max_per_img=50)
    outputs = model.rpn_head(model.extract_feat(batch))
    found = model.rpn_head.predict_by_feat(*outputs, batch_img_metas=metas, cfg=cfg)
    text = TextTower(clip).embed_classes([*SCORER['foreground'], *SCORER['background']])
    ranked = []
    for own, image in zip(found, dense, strict=True):
        pairs = []
        for box, objectness in zip(own.bboxes, own.scores, strict=True):
            rois = torch.cat([torch.zeros(1), box])[None]
            pooled = roi_align(image[None], rois, 1, 1 / PATCH, sampling_ratio=-1, aligned=True)
            shares = (20 * torch.cosine_similarity(pooled.reshape(1, DIM), text)).softmax(0)
            foreground = shares[0] + shares[1]
            pairs.append((float(objectness**0.6 * foreground**0.4), box))
        assert len(pairs) == 50
        ranked.append(sorted(pairs, key=lambda pair: -pair[0])[:20])
    return ranked


def test_proposals_are_ranked_by_the_geometric_mean_and_cut(
    plain, ranking, micro_clip, monkeypatch
):
    batch = images()
    expected = ranked_by_hand(plain, micro_clip, batch)
    found = proposals_of(ranking, batch, monkeypatch)
    assert [len(own) for own in found] == [20, 20]
    before = proposals_of(plain, batch, monkeypatch)
    for own, pairs, old in zip(found, expected, before, strict=True):
        torch.testing.assert_close(own.scores, torch.tensor([score for score, _ in pairs]))
        torch.testing.assert_close(own.bboxes, torch.stack([box for _, box in pairs]))
        kept = (own.bboxes[:, None] == old.bboxes).all(dim=-1).any(dim=-1)
        assert 0 < kept.sum() < 20  # other proposals than the RPN's own best


def test_without_weight_or_scorer_nothing_changes(plain, micro_clip, monkeypatch):
    batch = images()
    assert plain.proposal_scorer is None
    zero = build_fvit(micro_clip, **{'model.proposal_scorer': dict(SCORER, weight=0.0)})
    for one, other in zip(
        plain.predict(batch, samples()), zero.predict(batch, samples()), strict=True
    ):
        assert one.pred_instances.bboxes.equal(other.pred_instances.bboxes)
        assert one.pred_instances.scores.equal(other.pred_instances.scores)
    assert plain.state_dict().keys() == zero.state_dict().keys()
    losses = []
    for model in (plain, zero):
        torch.manual_seed(0)
        losses.append(model.parse_losses(model.loss(batch, samples()))[0])
    assert losses[0] == losses[1]


def test_given_proposals_stay_as_they_are(ranking, monkeypatch):
    pair = samples()
    found = ranking.rpn_head.predict(ranking.extract_feat(images()), samples(), rescale=False)
    for sample, own in zip(pair, found, strict=True):
        sample.proposals = own[:30]
    reached = proposals_of(ranking, images(), monkeypatch, pair)
    assert [len(own) for own in reached] == [30, 30]


def test_words_of_its_own_and_twice_as_many_proposals(micro_clip):
    model = build_fvit(micro_clip, **{'model.proposal_scorer': dict(type='GenericForeground')})
    assert model.rpn_head.test_cfg.max_per_img == 40
    assert model.test_cfg.rpn.max_per_img == 20
    scores = model.proposal_scorer.foreground_scores(torch.randn(3, DIM))
    assert ((scores > 0) & (scores < 1)).all()
    assert ['proposal_scorer' in reason for reason in unsupported(model)] == [True]


def test_wrong_settings_raise(micro_clip):
    with pytest.raises(ValueError, match=r'proposal_scorer\.keep is 10, .*max_per_img is 20'):
        build_fvit(micro_clip, **{'model.proposal_scorer': dict(SCORER, keep=10)})
    with pytest.raises(ValueError, match=r'proposal_scorer\.weight must be from 0 to 1, got 2'):
        GenericForeground(weight=2)
    for words in (dict(foreground=[]), dict(foreground=['sky'], background=['sky'])):
        with pytest.raises(ValueError, match=r'each once in both together'):
            GenericForeground(**words)
    config = tiny_config(micro_clip, **{'model.proposal_scorer': SCORER}).model
    config.roi_head.type = 'StandardRoIHead'
    del config.roi_head['clip_roi_extractor']
    with pytest.raises(ValueError, match=r'proposal_scorer needs.*FViTRoIHead'):
        MODELS.build(config)
