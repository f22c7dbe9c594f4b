"""The fused segmentor against mmdet's own Mask2Former, by hand, and on images of any size."""

import math

import pytest
import torch
import torch.nn.functional as F
from mmdet.utils import register_all_modules
from mmengine.registry import MODELS

pytest.importorskip('panopticapi')

import clipself_mm.panoptic  # noqa: F401
from clipself_mm.panoptic.generator_source import load_generator
from clipself_mm.panoptic.tower_images import TowerImages
from tests.panoptic.micro_generator import PREPROCESSOR, micro_generator, one_image
from tests.segmentation.stub_tower import PatchColourTower

SEEN = dict(things=['red', 'green'], stuff=['blue'])
VECTORS = dict(red=[1.0, 0, 0], green=[0, 1.0, 0], blue=[0, 0, 1.0], yellow=[1.0, 1.0, 0])


@pytest.fixture(autouse=True)
def scope():
    register_all_modules()


@pytest.fixture
def build(tmp_path):
    """Builds a segmentor of colours on random masks, and gives mmdet's own generator too."""
    file = tmp_path / 'colours.pt'
    torch.save({name: torch.tensor(row) for name, row in VECTORS.items()}, file)
    torch.manual_seed(0)
    plain = MODELS.build(micro_generator())
    plain.init_weights()
    torch.save(dict(state_dict=plain.state_dict()), tmp_path / 'generator.pth')

    def make(vocabulary=SEEN, score='fused', **kwargs):
        test_cfg = dict(
            score=score,
            max_per_image=7,
            iou_thr=0.1,
            filter_low_score=False,
            **kwargs.pop('test_cfg', {}),
        )
        settings = dict(generator=micro_generator(), seen=SEEN, tower_size=16) | kwargs
        return MODELS.build(
            dict(
                type='FusedPanopticSegmentor',
                generator_checkpoint=str(tmp_path / 'generator.pth'),
                tower=dict(type='PatchColourTower'),
                vocabulary=vocabulary,
                embeddings=str(file),
                test_cfg=test_cfg,
                **settings,
            )
        ).eval()

    make.plain = plain.eval()
    make.folder = tmp_path
    return make


def segment(model, *args, **kwargs):
    with torch.no_grad():
        return model.test_step(one_image(*args, **kwargs))[0]


@pytest.mark.parametrize(('size', 'original'), [((64, 96), (50, 75)), ((37, 51), (37, 51))])
def test_pred_equals_mmdet(build, size, original):
    expected = segment(build.plain, size, original)
    found = segment(build(score='pred'), size, original)
    assert len(expected.pred_panoptic_seg.sem_seg.unique()) > 1
    assert torch.equal(found.pred_panoptic_seg.sem_seg, expected.pred_panoptic_seg.sem_seg)
    ours, theirs = found.pred_instances, expected.pred_instances
    order, other = ours.scores.argsort(), theirs.scores.argsort()
    assert len(order) > 0
    torch.testing.assert_close(ours.scores[order], theirs.scores[other])
    assert torch.equal(ours.labels[order], theirs.labels[other])
    assert torch.equal(ours.masks[order], theirs.masks[other])


@pytest.mark.parametrize('kept', [True, False])
def test_switching_off_results_does_not_change_the_others(build, kept):
    """Without instances only the queries that are objects reach the size of the image."""
    model = build(test_cfg=dict(semantic_on=True))
    everything = segment(model, (40, 64))
    fewer = segment(build(test_cfg=dict(instance_on=False, panoptic_on=kept)), (40, 64))
    assert ('pred_panoptic_seg' in fewer) == kept
    assert 'pred_instances' not in fewer
    assert 'pred_sem_seg' not in fewer
    assert everything.pred_sem_seg.sem_seg.shape == (1, 40, 64)
    if kept:
        one, other = fewer.pred_panoptic_seg.sem_seg, everything.pred_panoptic_seg.sem_seg
        assert torch.equal(one, other)


@pytest.mark.parametrize('score', ['clip', 'fused'])
def test_scores_equal_plain_loops(build, score):
    """Two masks over an image of two colours, the tower's tokens worked out one by one."""
    model = build(score=score, test_cfg=dict(temperature=3.0, alpha=0.3))
    mean, std = (torch.tensor(PREPROCESSOR[key]).view(3, 1, 1) for key in ('mean', 'std'))
    image = torch.zeros(3, 16, 16)
    image[0, :, :8], image[1, :, 8:] = 255, 255  # red, green
    masks = torch.full((2, 16, 16), -20.0)
    masks[0, :, :12] = 20.0  # two thirds red, one third green
    masks[1, :, 8:] = 20.0
    logits = torch.tensor([[0.2, 1.0, -1.0, 0.5], [0.0, 0.0, 0.0, 0.0]])
    with torch.no_grad():
        found = model.score((image - mean) / std, logits, masks)
    for query, colour in enumerate([(2 / 3, 1 / 3, 0), (0, 1, 0)]):
        norm = math.sqrt(sum(value**2 for value in colour))
        raw = [math.exp(3 * value / norm) for value in colour]
        clip = [value / sum(raw) for value in raw]
        spoken = [math.exp(value) for value in logits[query].tolist()]
        is_object = sum(spoken[:3]) / sum(spoken)
        if score == 'fused':
            raw = [
                (own / sum(spoken[:3])) ** 0.7 * other**0.3
                for own, other in zip(spoken[:3], clip, strict=True)
            ]
            clip = [value / sum(raw) for value in raw]
        expected = torch.tensor([*(is_object * value for value in clip), 1 - is_object])
        torch.testing.assert_close(found[query], expected, atol=1e-4, rtol=1e-4)


def test_class_without_match_is_scored_by_clip(build):
    model = build(dict(things=['red', 'yellow'], stuff=['blue']), test_cfg=dict(alpha=0.2))
    assert model._weights.tolist() == pytest.approx([0.2, 1.0, 0.2])
    assert model._matches.tolist() == [[1, 0, 0], [0, 0, 0], [0, 0, 1]]
    assert segment(model, (40, 64)).pred_panoptic_seg.sem_seg.shape == (1, 40, 64)


def test_classes_of_the_generator_add_up(build):
    model = build(
        dict(things=['yellow'], stuff=['blue']), 'pred', matches={'yellow': ['red', 'green']}
    )
    logits = torch.tensor([[1.0, 2.0, 3.0, 0.0]])
    probabilities = logits.softmax(-1)[0]
    with torch.no_grad():
        (found,) = model.score(torch.zeros(3, 16, 16), logits, torch.zeros(1, 16, 16))
    expected = [probabilities[0] + probabilities[1], probabilities[2], probabilities[3]]
    torch.testing.assert_close(found, torch.stack(expected))


def test_mask_threshold_pools_binary_masks(build):
    image = torch.zeros(3, 16, 16)
    image[0] = torch.arange(-8.0, 8.0)
    masks = torch.arange(-8.0, 8.0).expand(1, 16, 16) / 4
    logits = torch.zeros(1, 4)
    scores = [
        build(score='clip', test_cfg=dict(temperature=1.0, mask_threshold=value)).score(
            image, logits, masks
        )
        for value in (None, 0.5)
    ]
    plain = build(score='clip', test_cfg=dict(temperature=1.0))
    hard = plain.score(image, logits, torch.where(masks > 0, 50.0, -50.0))
    torch.testing.assert_close(scores[1], hard)
    assert not torch.allclose(scores[0], hard)


@pytest.mark.parametrize('size', [(33, 47), (16, 120), (300, 40), (1, 70)])
def test_images_of_any_size(build, size):
    model = build(test_cfg=dict(semantic_on=True))
    original = (2 * size[0] + 1, 2 * size[1])
    found = segment(model, size, original)
    assert found.pred_panoptic_seg.sem_seg.shape == (1, *original)
    assert found.pred_instances.masks.shape[1:] == original
    assert found.pred_sem_seg.sem_seg.shape == (1, *original)
    (seen,) = model.tower.seen
    assert max(seen.shape[2:]) == 16
    assert all(side % 4 == 0 for side in seen.shape[2:])


def test_images_of_a_batch_are_independent(build):
    model = build()
    one, other = one_image((40, 64)), one_image((64, 48), seed=1)
    both = {key: one[key] + other[key] for key in one}
    with torch.no_grad():
        feats = model.data_preprocessor(both)
        together = model.predict(feats['inputs'], feats['data_samples'])
    # The frame of the batch is larger than each: the tower still sees the images alone.
    assert [tuple(seen.shape[2:]) for seen in model.tower.seen] == [(12, 16), (16, 12)]
    sizes = [tuple(sample.pred_panoptic_seg.sem_seg.shape[1:]) for sample in together]
    assert sizes == [(40, 64), (64, 48)]


@pytest.mark.parametrize('rgb', [True, False])
@pytest.mark.parametrize('normalise', [True, False])
def test_tower_input_has_the_pixels_of_the_file(rgb, normalise):
    settings = dict(PREPROCESSOR, bgr_to_rgb=rgb)
    if not normalise:
        del settings['mean'], settings['std']
    preprocessor, tower = MODELS.build(settings), PatchColourTower()
    tower.mean, tower.std = (0.1, 0.2, 0.3), (0.5, 0.25, 0.2)
    data = one_image((12, 10))
    inputs = preprocessor(dict(data))['inputs'][0, :, :12, :10]
    seen, size = TowerImages(preprocessor, tower, 12)(inputs)
    assert seen.shape == (1, 3, 12, 12)
    assert size == (3.0, 2.5)
    pixels = data['inputs'][0].flip(0) / 255  # OpenCV's order is BGR
    for channel in range(3):
        expected = (pixels[channel] - tower.mean[channel]) / tower.std[channel]
        torch.testing.assert_close(seen[0, channel, :, :10], expected, atol=1e-5, rtol=1e-5)
        black = -tower.mean[channel] / tower.std[channel]
        torch.testing.assert_close(seen[0, channel, :, 10:], torch.full((12, 2), black))


def test_tower_input_is_resized():
    preprocessor, tower = MODELS.build(PREPROCESSOR), PatchColourTower()
    images = TowerImages(preprocessor, tower, 8)
    seen, size = images(torch.zeros(3, 32, 20))
    assert (seen.shape, size) == ((1, 3, 8, 8), (2.0, 1.25))
    mean = torch.tensor(PREPROCESSOR['mean']) / 255
    torch.testing.assert_close(seen[0, :, :, :5], mean.view(3, 1, 1).expand(3, 8, 5))
    assert images(F.pad(torch.zeros(3, 1, 1), (0, 99)))[0].shape == (1, 3, 4, 8)
    with pytest.raises(ValueError, match=r'tower_size.*\b3\b.*\b4\b'):
        TowerImages(preprocessor, tower, 3)


def test_the_vocabulary_can_change(build):
    model = build()
    model.set_vocabulary(dict(things=['yellow'], stuff=['red', 'green', 'blue']))
    assert model.classes == ('yellow', 'red', 'green', 'blue')
    found = segment(model, (40, 64)).pred_panoptic_seg.sem_seg
    assert set((found % 1000).unique().tolist()) <= {0, 1, 2, 3, 4}
    model.set_vocabulary(dict(things=['yellow']))  # fewer scores than max_per_image
    assert len(segment(model, (40, 64)).pred_instances) == 5
    with pytest.raises(ValueError, match='violet'):
        model.set_vocabulary(dict(things=['violet']))
    assert model.classes == ('yellow',)


def test_all_is_frozen(build):
    model = build()
    assert not any(module.training for module in model.modules())
    model.train()
    assert not any(module.training for module in model.modules())
    trained = [name for name, p in model.named_parameters() if p.requires_grad]
    assert trained == ['unused']
    with pytest.raises(NotImplementedError, match=r'FusedPanopticSegmentor.*tools/test\.py'):
        model.loss(None, None)


@pytest.mark.parametrize(
    ('settings', 'error', 'message'),
    [
        (dict(seen=None), ValueError, '`seen`.*CocoPanopticDataset'),
        (dict(seen=dict(things=['red'])), ValueError, r'`seen`.*\b1\b.*\b3\b'),
        (dict(score='both'), ValueError, "'fused', 'clip'.*'pred'.*'both'"),
        (dict(test_cfg=dict(alfa=1)), ValueError, r"test_cfg.*\['alfa'\].*'alpha'"),
        (dict(test_cfg=dict(beta=1.5)), ValueError, r'test_cfg.*beta.*\b1\.5\b'),
        (
            dict(score='pred', vocabulary=dict(things=['yellow'])),
            ValueError,
            r"score.*\b1\b.*\['yellow'\]",
        ),
        (
            dict(
                generator=dict(
                    type='mmdet.RetinaNet',
                    neck=None,
                    data_preprocessor=PREPROCESSOR,
                    backbone=dict(type='mmdet.ResNet', depth=18, base_channels=8),
                    bbox_head=dict(type='mmdet.RetinaHead', num_classes=3, in_channels=8),
                )
            ),
            TypeError,
            'generator.*MaskFormer.*RetinaNet',
        ),
    ],
)
def test_invalid_settings_raise(build, settings, error, message):
    with pytest.raises(error, match=message):
        build(**settings)


def test_state_dict_mismatch_raises(build):
    state = build.plain.state_dict()
    file = build.folder / 'other.pth'
    del state['panoptic_head.cls_embed.weight']
    torch.save(dict(state_dict=state), file)
    with pytest.raises(ValueError, match=r'other\.pth.*\b1\b.*cls_embed\.weight'):
        load_generator(build.plain, str(file))
    with pytest.raises(FileNotFoundError, match=r'missing\.pth'):
        load_generator(build.plain, str(build.folder / 'missing.pth'))
    state = dict(build.plain.state_dict(), extra=torch.zeros(1))
    torch.save(state, file)  # weights alone, and one too many: that is logged, not refused
    load_generator(build.plain, str(file))


def test_generator_from_a_config_file(build):
    path = build.folder / 'generator.py'
    path.write_text(f'model = {micro_generator().to_dict()!r}\n')
    found = segment(build(generator=str(path)), (40, 64))
    expected = segment(build(), (40, 64))
    assert torch.equal(found.pred_panoptic_seg.sem_seg, expected.pred_panoptic_seg.sem_seg)
    path.write_text('data_root = 1\n')
    with pytest.raises(ValueError, match=r'generator\.py.*`model`'):
        build(generator=str(path))
