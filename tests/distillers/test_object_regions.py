from itertools import pairwise

import numpy as np
import pytest
import torch
from mmengine.registry import MODELS

from clipself_mm.clip.region_pooling import box_cover
from clipself_mm.datasets import RegionSample
from clipself_mm.distillers.segment_tree import merge_cells, segment_boxes
from clipself_mm.shapes.export import ShapesOV
from clipself_mm.shapes.scene import mask_box
from clipself_mm.shapes.scenes import render_scene


def merged_by_definition(features):
    """All segments by the definition: in each round the nearest pair of neighbours merges."""
    height, width, _ = features.shape
    segments = {frozenset([i]): 0.0 for i in range(height * width)}
    flat, ended, level = features.reshape(height * width, -1), {}, 0.0

    def neighbours(one, other):
        return any(
            abs(a // width - b // width) + abs(a % width - b % width) == 1
            for a in one
            for b in other
        )

    def distance(one, other):
        x, y = flat[list(one)].sum(axis=0), flat[list(other)].sum(axis=0)
        return 1 - x @ y / np.linalg.norm(x) / np.linalg.norm(y)

    while len(segments) > 1:
        apart, one, other = min(
            (
                (distance(a, b), a, b)
                for a in segments
                for b in segments
                if a is not b and neighbours(a, b)
            ),
            key=lambda item: item[0],
        )
        level = max(level, apart)
        for part in (one, other):
            ended[part] = level - segments.pop(part)
        segments[one | other] = level
    return ended


def test_segments_are_those_of_the_definition():
    features = np.random.default_rng(0).normal(size=(3, 4, 5)) + 1
    found = {frozenset(segment.cells): segment.persistence for segment in merge_cells(features)}
    expected = merged_by_definition(features)
    assert found.keys() == expected.keys()
    for cells, persistence in expected.items():
        assert found[cells] == pytest.approx(persistence, abs=1e-12)


def test_what_is_unlike_its_surroundings_is_most_persistent():
    features = np.zeros((6, 8, 2))
    features[..., 0] = 1
    features[1:4, 2:6] = 0, 1
    segments = merge_cells(features + 1e-3 * np.random.default_rng(0).normal(size=(6, 8, 2)))
    boxes, persistence = segment_boxes(segments, width=8)
    best = boxes[np.argsort(-persistence)[:2]].tolist()
    assert sorted(best) == [[0, 0, 8, 6], [2, 1, 6, 4]]


def make_finder(**arguments):
    return MODELS.build(
        dict(
            type='ObjectRegions',
            tower=dict(type='CLIPTower', model='pkg:clipself_mm.shapes/tiny_clip'),
            data_preprocessor=dict(type='RegionPreprocessor', image_size=128),
            **arguments,
        )
    )


@pytest.fixture(scope='module')
def finder():
    return make_finder()


def found_in(finder, image, scale=0.5):
    """The boxes of one image, uint8 (H, W, 3), that is `scale` times its source."""
    sides = [round(side / scale) for side in image.shape[:2]]
    sample = RegionSample(metainfo=dict(ori_shape=tuple(sides), scale=scale))
    pixels = torch.from_numpy(image).permute(2, 0, 1)
    data = dict(inputs=dict(image=[pixels]), data_samples=[sample])
    (found,) = finder.test_step(data)
    return found.pred_instances


def half(image):
    """An image of half the size, by averaging."""
    height, width, _ = image.shape
    blocks = image.reshape(height // 2, 2, width // 2, 2, 3).mean(axis=(1, 3))
    return blocks.round().astype(np.uint8)


def best_overlaps(found, scene):
    """Highest IoU of each annotated object with the first ten boxes."""
    boxes = found.bboxes[:10].double()
    truth = torch.tensor([mask_box(scene.visible_mask(n)) for n in scene.annotated()]).double()
    low, high = (
        torch.max(boxes[:, None, :2], truth[:, :2]),
        torch.min(boxes[:, None, 2:], truth[:, 2:]),
    )
    shared = (high - low).clamp_min(0).prod(dim=-1)
    areas = [(item[:, 2:] - item[:, :2]).prod(dim=-1) for item in (boxes, truth)]
    return (shared / (areas[0][:, None] + areas[1] - shared)).amax(dim=0)


def test_ten_boxes_find_most_objects(finder):
    style = ShapesOV().style
    scenes = [render_scene(3, number, style) for number in range(8)]
    overlaps = torch.cat([best_overlaps(found_in(finder, half(s.image)), s) for s in scenes])
    # 81% of the objects of all training scenes.
    assert (overlaps > 0.5).double().mean() > 0.6


def test_scores_fall_and_boxes_are_in_the_image(finder):
    scene = render_scene(3, 0, ShapesOV().style)
    found = found_in(finder, half(scene.image)[:80], scale=0.5)
    scores = found.scores.tolist()
    assert 5 < len(scores) <= 40
    assert all(first >= second for first, second in pairwise(scores))
    assert 0 < min(scores) <= max(scores) <= 1
    assert found.bboxes.min() >= 0
    assert (found.bboxes[:, 2] <= 256).all()
    assert (found.bboxes[:, 3] <= 160).all()  # not in the padding below
    again = found_in(finder, half(scene.image)[:80], scale=0.25)
    torch.testing.assert_close(again.bboxes, 2 * found.bboxes)


def test_crops_are_the_enlarged_boxes_at_the_size_of_the_tower(finder):
    pixels = torch.zeros(3, 128, 128)
    pixels[:, 40:60, 30:50] = 1
    mean, std = finder.data_preprocessor.mean[0], finder.data_preprocessor.std[0]
    crops = finder.crops((pixels - mean) / std, torch.tensor([[30.0, 40, 50, 60]]))
    white = (crops[0] * std + mean).mean(dim=0) > 0.5
    assert crops.shape == (1, 3, 64, 64)
    assert white.double().mean() == pytest.approx(1 / 1.5**2, abs=0.03)


def test_a_plain_image_has_no_box_or_some_but_no_error(finder):
    found = found_in(finder, np.full((64, 64, 3), 90, np.uint8))
    assert len(found.bboxes) == len(found.scores)
    assert torch.isfinite(found.scores).all()


@pytest.mark.parametrize(
    'wrong',
    [
        dict(grid=1),
        dict(candidates=0),
        dict(max_area=0.0),
        dict(iou_threshold=0.0),
        dict(crop_scale=-1.5),
        dict(cue_weights=(0, 0)),
        dict(score_weights=(1, -1)),
        dict(score_weights=(1, 1, 1)),
    ],
)
def test_numbers_out_of_range_are_an_error(wrong):
    with pytest.raises(ValueError, match=r'expected .*>'):
        make_finder(**wrong)


@pytest.mark.parametrize(('cue_weights', 'used'), [((1, 0), 'tokens'), ((0, 1), 'colours')])
def test_a_cue_of_weight_zero_is_not_used(cue_weights, used):
    finder, generator = make_finder(cue_weights=cue_weights), torch.Generator().manual_seed(0)
    image, other = torch.randn(2, 3, 64, 64, generator=generator)
    features, changed = torch.randn(2, 16, 8, 8, generator=generator)
    boxes, persistence = finder.segments(image, features, 64, 64)
    assert len(boxes) > 2
    same = (other, features) if used == 'tokens' else (image, changed)
    for found, expected in zip(finder.segments(*same, 64, 64), (boxes, persistence), strict=True):
        assert torch.equal(found, expected)
    differing = (image, changed) if used == 'tokens' else (other, features)
    assert not torch.equal(finder.segments(*differing, 64, 64)[1][:3], persistence[:3])


def test_scores_by_one_of_both():
    image = torch.randn(3, 128, 128, generator=torch.Generator().manual_seed(0))
    boxes = torch.tensor([[0.0, 0, 40, 40], [30, 30, 60, 90], [64, 64, 128, 128], [5, 80, 50, 120]])
    persistence = torch.tensor([0.4, 0.1, 0.3, 0.2])
    alone, both = make_finder(score_weights=(2, 0)), make_finder()
    assert alone.scores(image, boxes, persistence).tolist() == [1, 0.25, 0.75, 0.5]
    different = make_finder(score_weights=(0, 1)).scores(image, boxes, persistence)
    assert sorted(different.tolist()) == [0.25, 0.5, 0.75, 1]
    mean = (alone.scores(image, boxes, persistence) + different) / 2
    torch.testing.assert_close(both.scores(image, boxes, persistence), mean)


def test_box_cover_worked_by_hand():
    cover = box_cover(torch.tensor([[4.0, 0, 20, 8], [100, 100, 120, 120]]), (2, 3), 8)
    assert cover[0].tolist() == [[0.5, 1, 0.5], [0, 0, 0]]
    assert not cover[1].any()


def test_a_last_row_of_cells_that_is_partly_padding_is_no_object(finder):
    image = np.full((100, 128, 3), 200, np.uint8)  # 12.5 rows of cells
    image[72:96, 40:72] = 200, 0, 0
    boxes = found_in(finder, image, scale=1.0).bboxes
    expected = torch.tensor([40.0, 72, 72, 96])
    assert (boxes - expected).abs().amax(dim=1).min() < 0.01
    assert boxes[:10, 1].max() < 95
    assert boxes[:, 3].max() == 100


def test_sides_that_are_no_multiples_of_the_patch_size_are_an_error(finder):
    images = torch.zeros(1, 3, 100, 100)
    sample = RegionSample(metainfo=dict(ori_shape=(100, 100), scale=1.0))
    with pytest.raises(ValueError, match=r'100 x 100.*patch size 8'):
        finder.predict(dict(images=images), [sample])
