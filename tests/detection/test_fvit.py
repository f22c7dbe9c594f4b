"""The whole detector: scores that reach the boxes, frozen weights, vocabularies."""

import copy

import pytest
import torch
from mmengine.registry import MODELS
from torch import nn
from torchvision.ops import roi_align

from clipself_mm.clip import TextTower
from clipself_mm.datasets import load_vocabulary
from clipself_mm.detection import FViTBackbone, TextClassifier
from tests.detection.tiny_fvit import (
    DIM,
    NAMES,
    PATCH,
    build_fvit,
    images,
    samples,
    tiny_config,
)

WORDS = load_vocabulary('shapes_ov')


@pytest.fixture(scope='module')
def model(micro_clip):
    return build_fvit(micro_clip)


@torch.no_grad()
def fused_by_hand(model, clip, batch, classes, novel, shares=(0.1, 0.8)):
    """Fused scores of the first image's proposals, from the formulas and plain loops."""
    maps, dense = model.backbone.forward_with_dense(batch)
    pyramid = model.neck(maps)
    boxes = model.rpn_head.predict(pyramid, samples(len(batch)), rescale=False)[0].bboxes
    rois = torch.cat([torch.zeros(len(boxes), 1), boxes], dim=1)
    head = model.roi_head.bbox_head
    features = model.roi_head.bbox_roi_extractor(pyramid[:4], rois)
    for conv in head.shared_convs:
        features = conv(features)
    features = features.flatten(1)
    for layer in (*head.shared_fcs, *head.cls_fcs):
        features = layer(features).relu()
    base_share, novel_share = shares
    pooled = roi_align(dense, rois, 1, 1 / PATCH, sampling_ratio=-1, aligned=True).flatten(1)
    text = TextTower(clip).embed_classes([*classes, 'background'])
    fused = torch.empty(len(boxes), len(classes) + 1)
    for row, (ours, theirs) in enumerate(zip(features, pooled, strict=True)):
        ours = (50 * torch.cosine_similarity(ours[None], text)).softmax(0)
        theirs = (75 * torch.cosine_similarity(theirs[None], text)).softmax(0)
        for column in range(len(classes) + 1):
            is_novel = column < len(classes) and classes[column] in novel
            share = novel_share if is_novel else base_share
            fused[row, column] = ours[column] ** (1 - share) * theirs[column] ** share
    return fused


def test_fused_scores_reach_the_boxes_as_they_are(model, micro_clip):
    batch = images()
    found = model.predict(batch, samples())[0].pred_instances
    expected = fused_by_hand(model, micro_clip, batch, WORDS.classes, WORDS.novel)
    assert len(found.scores) > 10
    for score, label in zip(found.scores, found.labels, strict=True):
        assert (expected[:, label] - score).abs().min() < 2e-5 * expected.max()
    assert (found.scores[0] - expected[:, :-1].max()).abs() < 2e-5 * expected.max()


def test_a_standard_roi_head_does_not_fuse(model, micro_clip):
    config = copy.deepcopy(tiny_config(micro_clip).model)
    config.roi_head.type = 'StandardRoIHead'
    del config.roi_head['clip_roi_extractor']
    plain = MODELS.build(config).eval()
    plain.load_state_dict(model.state_dict())
    batch = images()
    found = plain.predict(batch, samples())[0].pred_instances
    expected = fused_by_hand(plain, micro_clip, batch, WORDS.classes, WORDS.novel, shares=(0, 0))
    assert (found.scores[0] - expected[:, :-1].max()).abs() < 2e-5 * expected.max()


class ForgetfulNeck(nn.Module):
    """A RoI head wrapper that converts the pyramid to a plain tuple."""

    def __init__(self, roi_head):
        super().__init__()
        self.roi_head = roi_head

    def predict(self, pyramid, *args, **kwargs):
        return self.roi_head.predict(tuple(level.clone() for level in pyramid), *args, **kwargs)


def test_a_missing_clip_map_raises(micro_clip):
    model = build_fvit(micro_clip)
    model.roi_head = ForgetfulNeck(model.roi_head)
    with pytest.raises(TypeError, match=r'dense CLIP map, but got a tuple.*PyramidWithDense'):
        model.predict(images(), samples())


def test_fused_scores_are_marked_by_type(model):
    """The width, K + 1 or twice that, does not decide: it could be that of another vocabulary."""
    head = model.roi_head.bbox_head
    logits, features = torch.randn(3, 66), torch.randn(3, DIM)
    pair = head.join_clip(logits, features)
    assert [len(part.clip) for part in pair.split((1, 0, 2), 0)] == [1, 0, 2]
    clip = (75 * torch.cosine_similarity(features[:, None], head.fc_cls.table(), dim=-1)).softmax(1)
    expected = logits.softmax(1) ** (1 - head.fusion) * clip**head.fusion
    torch.testing.assert_close(head.probabilities(pair), expected)
    wide = torch.randn(3, 132)
    torch.testing.assert_close(head.probabilities(wide), wide.softmax(1))


def test_an_image_without_boxes_beside_one_with(model):
    batch, pair = images(), samples()
    alone = model.predict(batch[1:], samples()[1:])[0].pred_instances
    proposals = model.rpn_head.predict(model.extract_feat(batch), samples(), rescale=False)
    pair[0].proposals, pair[1].proposals = proposals[0][:0], proposals[1]
    empty, found = (sample.pred_instances for sample in model.predict(batch, pair))
    assert (len(empty), empty.label_names) == (0, [])
    torch.testing.assert_close(found.scores, alone.scores)
    pair = samples()
    for sample in pair:
        sample.proposals = proposals[0][:0]
    assert [len(sample.pred_instances) for sample in model.predict(batch, pair)] == [0, 0]


def test_batch_equals_single_images(model):
    batch = images()
    together = model.predict(batch, samples())
    for index in range(2):
        alone = model.predict(batch[index : index + 1], samples()[index : index + 1])[0]
        torch.testing.assert_close(
            alone.pred_instances.scores, together[index].pred_instances.scores
        )
        torch.testing.assert_close(
            alone.pred_instances.bboxes, together[index].pred_instances.bboxes
        )


@torch.no_grad()
def test_a_tower_of_summed_values_predicts(model, micro_clip):
    """The last map of the pyramid and CLIP's scores come from the same sum."""
    summed = build_fvit(micro_clip, **{'model.backbone.tower.last_block': 'values-2'})
    batch = images()
    stages, dense = summed.backbone.run_tower(batch)
    tokens = summed.backbone.tower.project(stages[2].flatten(2).mT).mT
    torch.testing.assert_close(nn.functional.normalize(tokens, dim=1), dense.flatten(2))
    plain, _ = model.backbone.run_tower(batch)
    equal = [one.equal(other) for one, other in zip(stages, plain, strict=True)]
    assert equal == [True, True, False]
    found = summed.predict(batch, samples())[0].pred_instances
    expected = fused_by_hand(summed, micro_clip, batch, WORDS.classes, WORDS.novel)
    assert (found.scores[0] - expected[:, :-1].max()).abs() < 2e-5 * expected.max()


def train_steps(model, count=2):
    model.train()
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-3)
    for step in range(count):
        losses = model.loss(images(seed=step), samples())
        total = sum(
            sum(item) if isinstance(item, list) else item
            for name, item in losses.items()
            if 'loss' in name
        )
        assert torch.isfinite(total)
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
    return losses


def test_training_leaves_a_frozen_tower_alone_to_the_bit(micro_clip):
    model = build_fvit(micro_clip)
    before = copy.deepcopy(model.state_dict())
    losses = train_steps(model)
    assert {'loss_rpn_cls', 'loss_rpn_bbox', 'loss_cls', 'loss_bbox'} <= set(losses)
    changed = {
        name for name, value in model.state_dict().items() if not torch.equal(value, before[name])
    }
    assert not any(name.startswith('backbone.tower') for name in changed)
    assert not model.backbone.tower.training
    for part in (
        'backbone.interpolate1',
        'backbone.interpolate2',
        'neck',
        'rpn_head',
        'roi_head.bbox_head.shared_convs',
        'roi_head.bbox_head.fc_cls.temperature',
    ):
        assert any(name.startswith(part) for name in changed), part


def test_a_tower_that_is_not_frozen_trains(micro_clip):
    model = build_fvit(micro_clip, **{'model.backbone.frozen': False})
    before = copy.deepcopy(model.backbone.tower.state_dict())
    train_steps(model)
    changed = {
        name
        for name, value in model.backbone.tower.state_dict().items()
        if not torch.equal(value, before[name])
    }
    blocks = {name for name in before if 'resblocks' in name}
    assert changed
    assert changed <= blocks
    idle = [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert idle == []  # DDP has no unused parameters


def test_loss_in_eval_mode_sees_logits(micro_clip):
    model = build_fvit(micro_clip)
    torch.manual_seed(0)
    with torch.no_grad():
        losses = model.loss(images(), samples())
    # Probabilities taken for logits would give about log(51 classes), whatever the temperature.
    model.roi_head.bbox_head.fc_cls.temperature.data.zero_()
    torch.manual_seed(0)
    with torch.no_grad():
        flat = model.loss(images(), samples())
    # Uniform logits over 50 base classes and background of weight 0.6.
    assert 0.6 * 3.93 <= flat['loss_cls'] <= 3.94
    assert not torch.isclose(losses['loss_cls'], flat['loss_cls'], rtol=1e-2)


def test_a_feature_of_zeros_is_finite(model):
    head = model.roi_head.bbox_head
    zeros = torch.zeros(2, 16)
    logits = head.fc_cls(zeros)
    assert torch.equal(logits, torch.zeros(2, 66))
    assert torch.isfinite(head.probabilities(head.join_clip(logits, zeros))).all()


def test_new_vocabulary(model, micro_clip):
    batch = images()
    before = model.predict(batch, samples())[0].pred_instances
    with model.vocabulary(['blue ring', 'pink elephant']):
        found = model.predict(batch, samples())[0].pred_instances
        expected = fused_by_hand(
            model, micro_clip, batch, ['blue ring', 'pink elephant'], {'pink elephant'}
        )
    assert set(found.labels.tolist()) <= {0, 1}
    assert found.label_names == [['blue ring', 'pink elephant'][i] for i in found.labels]
    assert (found.scores[0] - expected[:, :-1].max()).abs() < 2e-5 * expected.max()
    after = model.predict(batch, samples())[0].pred_instances
    assert torch.equal(before.scores, after.scores)
    assert after.label_names[0] == WORDS.classes[after.labels[0]]


def test_texts_of_samples(model):
    batch = images()
    mixed = [samples(1, text='red star. blue ring . green bolt.')[0], samples()[1]]
    found = model.predict(batch, mixed)
    with model.vocabulary(NAMES):
        first = model.predict(batch[:1], samples(1))[0].pred_instances
    second = model.predict(batch[1:], samples()[1:])[0].pred_instances
    torch.testing.assert_close(found[0].pred_instances.scores, first.scores)
    assert found[0].pred_instances.label_names == first.label_names
    torch.testing.assert_close(found[1].pred_instances.scores, second.scores)
    assert found[1].pred_instances.label_names == second.label_names


@pytest.mark.parametrize(('names', 'found'), [([], r'\[\]'), (['a', 'a'], r"\['a', 'a'\]")])
def test_invalid_vocabulary_raises(model, names, found):
    with pytest.raises(ValueError, match=found):
        model.set_vocabulary(names)
    assert model.classes == WORDS.classes


def test_checkpoints_do_not_depend_on_the_vocabulary(model, micro_clip):
    state = model.state_dict()
    assert not any('text_embeddings' in name or 'fusion' in name for name in state)
    other = build_fvit(micro_clip, seed=1, **{'model.roi_head.bbox_head.vocabulary': 'coco'})
    other.load_state_dict(state)
    assert other.classes == load_vocabulary('coco').classes
    torch.testing.assert_close(other.roi_head.bbox_head.fusion, torch.full((81,), 0.1))


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'vocabulary': 'shapes_ov', 'num_classes': 80}, r'num_classes.*\b80\b.*shapes_ov.*\b65\b'),
        (
            {'loss_cls': dict(_delete_=True, type='CrossEntropyLoss')},
            'CrossEntropyLoss.*OpenVocabCELoss',
        ),
        (
            {'loss_cls': dict(_delete_=True, type='mmdet.CrossEntropyCustomLoss', num_classes=65)},
            'CrossEntropyCustomLoss.*OpenVocabCELoss',
        ),
        ({'loss_cls.use_sigmoid': True}, "'use_sigmoid': True.*OpenVocabCELoss"),
    ],
)
def test_contradictory_configs_raise(micro_clip, changes, message):
    changes = {f'model.roi_head.bbox_head.{key}': value for key, value in changes.items()}
    with pytest.raises(ValueError, match=message):
        build_fvit(micro_clip, **changes)


def test_wrong_embeddings_raise(micro_clip, tmp_path):
    place = 'model.roi_head.bbox_head.cls_predictor_cfg.embeddings'
    names = [*WORDS.classes, 'background']
    cases = {
        'narrow': ({name: torch.ones(8) for name in names}, r'\b8\b.*\b16\b'),
        'lacking': ({name: torch.ones(16) for name in names[1:]}, names[0]),
    }
    for case, (content, message) in cases.items():
        path = tmp_path / f'{case}.pt'
        torch.save(content, path)
        with pytest.raises(ValueError, match=message) as caught:
            build_fvit(micro_clip, **{place: str(path)}).eval()
        assert path.name in str(caught.value)


def test_new_names_without_a_text_tower_raise(micro_clip, tmp_path):
    path = tmp_path / 'words.pt'
    torch.save({name: torch.randn(16) for name in [*WORDS.classes, 'background']}, path)
    model = build_fvit(
        micro_clip, **{'model.roi_head.bbox_head.cls_predictor_cfg.embeddings': str(path)}
    )
    model.roi_head.bbox_head.fc_cls.text.text = None
    model.set_vocabulary(['red star'])  # in the file
    assert len(model.predict(images(1), samples(1))[0].pred_instances.scores)
    with pytest.raises(
        ValueError, match=r'pink elephant.*`model\.roi_head\.bbox_head\.cls_predictor_cfg\.text`'
    ):
        model.set_vocabulary(['blue ring', 'pink elephant'])
    assert model.classes == ('red star',)
    found = model.predict(images(1), samples(1))[0].pred_instances
    assert set(found.label_names) == {'red star'}


def test_cosines_stay_exact_under_autocast(model):
    """In bfloat16 the logits, 50 times a cosine, would be off by tenths."""
    features = torch.randn(6, 16)
    exact = model.roi_head.bbox_head.fc_cls(features)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        mixed = model.roi_head.bbox_head.fc_cls(features)
    torch.testing.assert_close(mixed, exact)


def test_a_custom_classifier_is_kept(micro_clip):
    class LouderClassifier(TextClassifier):
        def forward(self, features):
            return 2 * super().forward(features)

    MODELS.register_module(name='LouderClassifier', module=LouderClassifier, force=True)
    place = 'model.roi_head.bbox_head.cls_predictor_cfg.type'
    model = build_fvit(micro_clip, **{place: 'LouderClassifier'})
    assert type(model.roi_head.bbox_head.fc_cls) is LouderClassifier


def test_a_cnn_as_backbone_raises():
    with (
        torch.device('meta'),
        pytest.raises(NotImplementedError, match=r'FViTBackbone.*CLIPResNet'),
    ):
        FViTBackbone(tower=dict(type='CLIPTower', model='RN50'))
