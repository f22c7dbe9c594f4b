"""A learned background vector, as in CLIM's detectors."""

import copy

import pytest
import torch
from torch.nn import functional as F
from torchvision.ops import roi_align

from clipself_mm.clip import TextTower
from clipself_mm.clip.class_embeddings import save_class_embeddings
from clipself_mm.datasets import load_vocabulary
from clipself_mm.detection import TextClassifier
from tests.detection.tiny_fvit import NAMES, PATCH, build_fvit, images, samples

PLACE = 'model.roi_head.bbox_head.cls_predictor_cfg'
KEY = 'roi_head.bbox_head.fc_cls.background'
LEARNED = {f'{PLACE}.background': 'learned'}


@pytest.fixture(scope='module')
def model(micro_clip):
    return build_fvit(micro_clip, **LEARNED)


def test_starts_as_a_xavier_column():
    torch.manual_seed(0)
    vector = TextClassifier(512, 10, background='learned').background
    bound = (6 / (1 + 512)) ** 0.5
    assert vector.shape == (512,)
    assert 0.95 * bound < vector.abs().max() <= bound
    assert vector.std().item() == pytest.approx(bound / 3**0.5, rel=0.05)


@torch.no_grad()
def scores_by_hand(model, clip, batch, classes):
    """Fused scores of the first image's proposals; both softmaxes have the learned last column."""
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
    pooled = roi_align(dense, rois, 1, 1 / PATCH, sampling_ratio=-1, aligned=True).flatten(1)
    vector = model.state_dict()[KEY]
    words = TextTower(clip).embed_classes(list(classes))
    table = torch.cat([words, (vector / vector.norm())[None]])
    ours = (50 * F.normalize(features) @ table.T).softmax(1)
    theirs = (75 * F.normalize(pooled) @ table.T).softmax(1)
    trained = load_vocabulary('shapes_ov').base
    share = torch.tensor([0.1 if name in trained else 0.8 for name in classes] + [0.1])
    return ours ** (1 - share) * theirs**share


@pytest.mark.parametrize('classes', [None, [*NAMES, 'pink elephant']])
def test_scores(model, micro_clip, classes):
    batch = images()
    with model.vocabulary(classes or model.classes):
        expected = scores_by_hand(model, micro_clip, batch, model.classes)
        found = model.predict(batch, samples())[0].pred_instances
    assert len(found.scores) > 10
    for score, label in zip(found.scores, found.labels, strict=True):
        assert (expected[:, label] - score).abs().min() < 2e-5 * expected.max()
    assert (found.scores[0] - expected[:, :-1].max()).abs() < 2e-5 * expected.max()


def test_trains_and_is_saved(micro_clip, tmp_path):
    model = build_fvit(micro_clip, **LEARNED).train()
    before = copy.deepcopy(model.state_dict()[KEY])
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=1e-2)
    losses = model.loss(images(), samples())
    losses['loss_cls'].backward()
    optimizer.step()
    after = model.state_dict()[KEY]
    assert not torch.equal(before, after)
    torch.save(model.state_dict(), tmp_path / 'epoch_1.pth')
    other = build_fvit(
        micro_clip, seed=1, **LEARNED, **{'model.roi_head.bbox_head.vocabulary': 'coco'}
    )
    other.load_state_dict(torch.load(tmp_path / 'epoch_1.pth'))
    assert other.state_dict()[KEY].equal(after)


def test_embeddings_without_background_are_accepted(micro_clip, tmp_path):
    words = load_vocabulary('shapes_ov').classes
    table = F.normalize(torch.randn(len(words), 16, generator=torch.Generator().manual_seed(0)))
    save_class_embeddings(tmp_path / 'words.pt', words, table)
    file = {f'{PLACE}.embeddings': str(tmp_path / 'words.pt')}
    model = build_fvit(micro_clip, **file, **LEARNED)
    assert len(model.predict(images(1), samples(1))[0].pred_instances.scores)
    with pytest.raises(ValueError, match=r'words\.pt.*\b65\b.*\b66\b.*\bbackground\b'):
        build_fvit(micro_clip, **file)
