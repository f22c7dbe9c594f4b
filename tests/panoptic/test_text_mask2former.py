"""Mask2Former with text as its classifier: what it learns from and what it is asked for."""

from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from mmdet.models.dense_heads import Mask2FormerHead
from mmdet.structures.mask import BitmapMasks
from mmdet.utils import register_all_modules
from mmengine.registry import MODELS
from mmengine.structures import InstanceData, PixelData

pytest.importorskip('panopticapi')

import clipself_mm.panoptic  # noqa: F401
from clipself_mm.hooks.vocabulary_check_hook import check_classes
from tests.panoptic.micro_generator import micro_generator, one_image
from tests.segmentation.stub_tower import PatchColourTower  # noqa: F401

TRAINED = dict(things=['red', 'green'], stuff=['blue'])
ASKED = dict(things=['yellow', 'green', 'red', 'white'], stuff=['blue', 'black'])
NAMES = ('red', 'green', 'blue', 'yellow', 'white', 'black')


@pytest.fixture
def config(tmp_path):
    register_all_modules()
    vectors = F.normalize(torch.randn(6, 12, generator=torch.Generator().manual_seed(0)), dim=1)
    file = tmp_path / 'text.pt'
    torch.save(dict(zip(NAMES, vectors, strict=True)), file)
    settings = micro_generator()
    settings.type = 'TextMask2Former'
    head = settings.panoptic_head
    head.type = 'TextMask2FormerHead'
    for key in ('num_things_classes', 'num_stuff_classes', 'loss_cls'):
        del head[key]
    head.update(
        vocabulary=TRAINED, test_vocabulary=ASKED, embed_dim=12, embeddings=str(file), temperature=9
    )
    settings.panoptic_fusion_head = dict(type='mmdet.MaskFormerFusionHead')
    torch.manual_seed(0)
    return settings


def with_truth(data):
    """A red thing at the left and blue stuff at the right of a 32 x 64 image."""
    (sample,) = data['data_samples']
    mask = torch.zeros(1, 32, 64, dtype=torch.uint8)
    mask[:, :, :20] = 1
    stuff = torch.full((1, 32, 64), 255)
    stuff[:, :, 40:] = 2
    sample.gt_instances = InstanceData(
        labels=torch.tensor([0]), masks=BitmapMasks(mask.numpy(), 32, 64)
    )
    sample.gt_sem_seg = PixelData(sem_seg=stuff)
    return data


def test_classes_of_training_and_prediction_differ(config):
    model = MODELS.build(config)
    data = model.data_preprocessor(with_truth(one_image((32, 64))), training=True)
    losses = model.train().loss(data['inputs'], data['data_samples'])
    assert model.panoptic_head.vocabulary.classes == ('red', 'green', 'blue')
    total, _ = model.parse_losses(losses)
    total.backward()
    head = model.panoptic_head
    for parameter in (
        head.cls_embed[0].weight,
        head.classifier.background,
        head.classifier.temperature,
    ):
        assert parameter.grad.abs().sum() > 0
    with torch.no_grad():
        (found,) = model.eval().test_step(one_image((32, 64)))
        logits, masks = head.predict(model.extract_feat(data['inputs']), data['data_samples'])
    assert logits.shape == (1, 5, 7)
    assert masks.shape == (1, 5, 32, 64)
    assert found.pred_panoptic_seg.sem_seg.shape == (1, 32, 64)
    assert int((found.pred_panoptic_seg.sem_seg % 1000).max()) <= 6
    # Training after a test is over the classes of training again, in whatever mode.
    again = model.loss(data['inputs'], data['data_samples'])
    assert head.classifier.table().shape == (4, 12)
    assert set(again) == set(losses)


def test_targets_are_over_the_classes_of_training(config):
    """One query fits the red thing: its loss is that of label 0 among three, with 0.1 for none."""
    model = MODELS.build(config)
    data = model.data_preprocessor(with_truth(one_image((32, 64))), training=True)
    head = model.panoptic_head
    x = model.extract_feat(data['inputs'])
    torch.manual_seed(3)
    losses = head.loss(x, data['data_samples'])
    weights = model.state_dict()
    config.panoptic_head.test_vocabulary = TRAINED
    other = MODELS.build(config)
    other.load_state_dict(weights)
    torch.manual_seed(3)
    expected = Mask2FormerHead.loss(other.panoptic_head, x, data['data_samples'])
    assert losses['loss_cls'] == expected['loss_cls']
    assert head.class_weight == [1.0, 1.0, 1.0, 0.1]
    assert head.loss_cls.class_weight == [1.0, 1.0, 1.0, 0.1]


def test_logits_are_cosines(config):
    model = MODELS.build(config).eval()
    head = model.panoptic_head
    query = torch.randn(2, 5, 16, generator=torch.Generator().manual_seed(1))
    vectors = torch.load(head.classifier.text.embeddings)
    with torch.no_grad():
        logits = head.cls_embed(query)
        feature = head.cls_embed[0](query[1, 2])
    for label, name in enumerate((*ASKED['things'], *ASKED['stuff'])):
        expected = 9 * F.cosine_similarity(feature, vectors[name], dim=0)
        torch.testing.assert_close(logits[1, 2, label], expected)
    none = 9 * F.cosine_similarity(feature, head.classifier.background, dim=0)
    torch.testing.assert_close(logits[1, 2, 6], none)


def test_no_weight_depends_on_the_classes(config):
    weights = MODELS.build(config).state_dict()
    config.panoptic_head.update(vocabulary=ASKED, test_vocabulary=TRAINED)
    other = MODELS.build(config)
    other.load_state_dict(weights)
    assert other.num_things_classes == other.panoptic_fusion_head.num_things_classes == 2
    assert other.panoptic_fusion_head.num_classes == 3
    assert (other.classes, other.train_classes) == (
        ('red', 'green', 'blue'),
        ('yellow', 'green', 'red', 'white', 'blue', 'black'),
    )


def test_class_mismatch_with_the_data_set_raises(config):
    model = MODELS.build(config)

    data = SimpleNamespace(metainfo=dict(classes=('red', 'green', 'black')))
    with pytest.raises(ValueError, match=r"TextMask2Former.*\b3\b.*\b3\b.*\b2\b.*'blue'.*'black'"):
        check_classes(model, model.train_classes, SimpleNamespace(dataset=data))


def test_wrong_head_type_raises():
    register_all_modules()
    config = micro_generator()
    config.type = 'TextMask2Former'
    with pytest.raises(TypeError, match=r'panoptic_head.*\bTextMask2FormerHead.*\bMask2FormerHead'):
        MODELS.build(config)


def fuse(config, **kwargs):
    return MODELS.build(
        dict(
            type='FusedPanopticSegmentor',
            generator=config,
            tower=dict(type='PatchColourTower'),
            vocabulary=ASKED,
            tower_size=16,
            **kwargs,
        )
    ).eval()


def test_as_generator_it_scores_the_vocabulary(config):
    config.panoptic_head.test_vocabulary = TRAINED
    limits = dict(iou_thr=0.1, filter_low_score=False, max_per_image=7)
    model = fuse(config, test_cfg=dict(score='pred', **limits))
    assert model.generator.classes == model.classes == (*ASKED['things'], *ASKED['stuff'])
    weights = model._weights.tolist()
    assert weights == pytest.approx(
        [0.65, 0.35, 0.35, 0.65, 0.35, 0.65]
    )  # red, green, blue are seen
    with torch.no_grad():
        (found,) = model.test_step(one_image((32, 64)))
        (expected,) = model.generator.test_step(one_image((32, 64)))
    assert torch.equal(found.pred_panoptic_seg.sem_seg, expected.pred_panoptic_seg.sem_seg)
    one, other = found.pred_instances, expected.pred_instances
    assert len(one) > 0
    torch.testing.assert_close(one.scores.sort()[0], other.scores.sort()[0])
    assert one.labels.sort()[0].tolist() == other.labels.sort()[0].tolist()


def test_seen_with_an_open_generator_raises(config):
    with pytest.raises(ValueError, match=r'TextMask2Former.*`seen`'):
        fuse(config, seen=TRAINED)
