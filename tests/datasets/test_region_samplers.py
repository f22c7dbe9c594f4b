import math
from pathlib import Path

import numpy as np
import pytest
from mmengine import Config
from mmengine.registry import TASK_UTILS

from clipself_mm.datasets import GridRegions, MixedRegions, ProposalRegions
from clipself_mm.datasets.regions import enlarge_boxes, grid_boxes, grid_choices

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'


def generator(seed=0):
    return np.random.default_rng(seed)


def test_grid_choices_follow_the_definition():
    by_definition = [
        (m, n) for m in range(1, 7) for n in range(1, 7) if math.ceil(m / 2) <= n <= min(2 * m, 6)
    ]
    assert sorted(grid_choices(6)) == by_definition
    assert len(by_definition) == 24
    assert grid_choices(1) == [(1, 1)]


def test_grid_worked_by_hand():
    expected = [
        [0, 0, 2, 2],
        [2, 0, 4, 2],
        [4, 0, 6, 2],
        [0, 2, 2, 4],
        [2, 2, 4, 4],
        [4, 2, 6, 4],
    ]
    boxes = grid_boxes(height=4, width=6, rows=2, columns=3)
    np.testing.assert_allclose(boxes, expected, atol=1e-6)


def test_grid_cells_meet_and_cover_the_image():
    boxes = grid_boxes(height=427, width=640, rows=6, columns=5).reshape(6, 5, 4)
    np.testing.assert_array_equal(boxes[:, :-1, 2], boxes[:, 1:, 0])
    np.testing.assert_array_equal(boxes[:-1, :, 3], boxes[1:, :, 1])
    assert boxes[0, 0, :2].tolist() == [0, 0]
    assert boxes[-1, -1, 2:].tolist() == [640, 427]


def test_enlarged_boxes_keep_the_centre_and_are_clipped():
    boxes = enlarge_boxes(np.array([[4.0, 4, 8, 6], [0, 0, 4, 4]]), 1.5, height=10, width=8.5)
    assert boxes.tolist() == [[3, 3.5, 8.5, 6.5], [0, 0, 5, 5]]
    assert enlarge_boxes(np.array([[1.1, 2.2, 3.3, 4.4]]), 1, 10, 10).tolist() == [
        [1.1, 2.2, 3.3, 4.4]
    ]


def test_every_grid_and_every_cell_is_chosen():
    sampler, results = GridRegions(max_split=6, max_regions=20), dict(ori_shape=(60, 60))
    counts, kept = set(), set()
    for seed in range(400):
        boxes, crops = sampler(results, generator(seed))
        np.testing.assert_array_equal(boxes, crops)
        assert len(np.unique(boxes, axis=0)) == len(boxes) <= 20
        counts.add(len(boxes))
        sides = boxes[0].reshape(2, 2).round()
        if (np.ptp(sides, axis=0) == 10).all():
            kept |= {tuple(box) for box in boxes.round().tolist()}
    assert counts == {min(m * n, 20) for m, n in grid_choices(6)}
    assert len(kept) == 36  # of the 6 x 6 grid, every cell is kept sometimes


def test_grid_is_uniform_over_the_choices():
    sampler, shapes = GridRegions(max_split=2), []
    for seed in range(3000):
        boxes, _ = sampler(dict(ori_shape=(8, 8)), generator(seed))
        shapes.append(tuple(np.ptp(boxes[0].reshape(2, 2), axis=0)))
    # (1, 1), (1, 2), (2, 1), (2, 2): a quarter each; 5 standard deviations are 0.04.
    for shape in ((8, 8), (4, 8), (8, 4), (4, 4)):
        assert abs(shapes.count(shape) / len(shapes) - 0.25) < 0.04


def proposals(boxes, height=100, width=200):
    return dict(boxes_xywh=np.array(boxes, float).reshape(-1, 4), ori_shape=(height, width))


def test_proposal_and_its_crop_worked_by_hand():
    boxes, crops = ProposalRegions()(proposals([[20, 30, 40, 20]]), generator())
    assert boxes.tolist() == [[20, 30, 60, 50]]
    assert crops.tolist() == [[10, 25, 70, 55]]
    _, crops = ProposalRegions(crop_scale=1)(proposals([[20, 30, 40, 20]]), generator())
    assert crops.tolist() == boxes.tolist()


def test_area_limits_are_inclusive_on_the_annotated_numbers():
    sampler = ProposalRegions(min_size=8, max_size=10)
    # 0.1 + 8 - 0.1 is below 8 in floating point: the area is that of the annotated sides.
    boxes = [[0.1, 0.3, 8, 8], [50, 50, 7.9, 8], [60, 60, 10, 10], [70, 70, 10, 10.1]]
    kept, _, places = sampler.select(proposals(boxes), np.arange(4), generator(0))
    assert places.tolist() == [0, 2]
    assert kept[1].tolist() == [60, 60, 70, 70]


def test_only_the_first_boxes_of_the_order_are_considered():
    sampler = ProposalRegions(max_regions=2)
    boxes = [[0, 0, 1, 1], [10, 10, 20, 20], [30, 30, 20, 20]]
    kept, _, places = sampler.select(proposals(boxes), np.array([0, 2, 1]), generator(0))
    assert kept.tolist() == [[30, 30, 50, 50]]
    assert places.tolist() == [1]


def test_without_shuffle_and_size_limits():
    """Region-text data in the official implementation: always the first boxes, of any size."""
    sampler = ProposalRegions(
        shuffle=False, min_size=0, max_size=None, max_regions=3, fallback=False
    )
    boxes = [[5, 5, 1, 1], [0, 0, 3000, 2000], [20, 30, 40, 20], [1, 1, 30, 30]]
    given = proposals(boxes, height=2000, width=3000)
    for seed in range(5):
        kept, _, chosen = sampler.choose(given, generator(seed))
        assert kept.tolist() == [[5, 5, 6, 6], [0, 0, 3000, 2000], [20, 30, 60, 50]]
        assert chosen.tolist() == [0, 1, 2]


def test_order_is_random():
    boxes = [[10 * i, 0, 10, 10] for i in range(10)]
    first = {
        tuple(ProposalRegions(max_regions=1)(proposals(boxes), generator(s))[0][0])
        for s in range(200)
    }
    assert len(first) == 10


@pytest.mark.parametrize(
    'boxes', [[], [[0, 0, 2, 2]], [[300, 0, 20, 20]], [[0, -30, 20, 20]], [[9, 9, -10, -10]]]
)
def test_fallback_is_the_top_left_quarter(boxes):
    kept, crops = ProposalRegions()(proposals(boxes, height=101, width=203), generator())
    assert kept.tolist() == [[0, 0, 50.75, 25.25]]
    assert crops.tolist() == [[0, 0, 50, 25]]


def test_jitter_stays_in_bounds_and_moves_each_side():
    sampler, given = ProposalRegions(jitter=0.2), proposals([[20, 30, 40, 20], [0, 0, 200, 100]])
    moved = np.concatenate(
        [sampler.select(given, np.arange(2), generator(s))[0][None] for s in range(200)]
    )
    first = moved[:, 0] - [20, 30, 60, 50]
    for side, reach in enumerate((8, 4, 8, 4)):
        assert np.abs(first[:, side]).max() <= reach
        assert first[:, side].min() < -0.8 * reach
        assert first[:, side].max() > 0.8 * reach
    assert moved[:, 1].min() >= 0
    assert (moved[:, 1] <= [200, 100, 200, 100]).all()
    boxes, crops, _ = sampler.select(given, np.arange(1), generator(1))
    np.testing.assert_allclose(crops, enlarge_boxes(boxes, 1.5, 100, 200))


@pytest.mark.parametrize(
    'wrong', [dict(min_size=9, max_size=8), dict(max_regions=0), dict(jitter=0.5)]
)
def test_invalid_arguments_of_proposals_raise(wrong):
    name, value = next(iter(wrong.items()))
    with pytest.raises(ValueError, match=rf'\b{name}\b.*\b{value}\b'):
        ProposalRegions(**wrong)


def test_invalid_arguments_of_the_grid_raise():
    with pytest.raises(ValueError, match=r'max_split.*\b0\b'):
        GridRegions(max_split=0)


@pytest.mark.parametrize('name', ['GridRegions', 'ProposalRegions'])
def test_same_generator_same_regions(name):
    sampler = TASK_UTILS.build(dict(type=name))
    given = proposals([[i, i, 20, 20] for i in range(30)])
    for one, two in zip(sampler(given, generator(4)), sampler(given, generator(4)), strict=True):
        np.testing.assert_array_equal(one, two)


def test_several_grids_are_independent_draws_and_the_whole_image_is_first():
    boxes, crops = GridRegions(grids=3, whole=True)(dict(ori_shape=(90, 60)), generator(5))
    np.testing.assert_array_equal(boxes, crops)
    assert boxes[0].tolist() == [0, 0, 60, 90]
    rng, expected = generator(5), []
    for _ in range(3):
        cells = grid_boxes(90, 60, *grid_choices(6)[rng.integers(24)])
        expected.append(cells[rng.permutation(len(cells))[:20]])
    np.testing.assert_array_equal(boxes[1:], np.concatenate(expected))
    with pytest.raises(ValueError, match='grids'):
        GridRegions(grids=0)


PROPOSALS = dict(type='ProposalRegions', fallback=False, crop_scale=1.0)
CELLS = dict(type='GridRegions', max_split=1)


def test_mixed_regions_are_of_each_kind_in_its_share():
    sampler, rng = MixedRegions([PROPOSALS, CELLS], shares=[3, 1]), generator()
    results = proposals([[10, 10, 20, 20]])
    kinds = [sampler(results, rng)[0].tolist()[0] for _ in range(800)]
    assert set(map(tuple, kinds)) == {(10, 10, 30, 30), (0, 0, 200, 100)}
    # 5 standard deviations are 0.08.
    assert abs(kinds.count([10, 10, 30, 30]) / 800 - 0.75) < 0.08
    assert sampler.reads_boxes
    assert not MixedRegions([CELLS], shares=[1]).reads_boxes


def test_an_image_without_a_box_has_the_regions_of_the_next_part():
    sampler = MixedRegions([PROPOSALS, CELLS], shares=[1000, 1])
    boxes, crops = sampler(proposals([]), generator())
    assert boxes.tolist() == crops.tolist() == [[0, 0, 200, 100]]


def test_without_shares_an_image_has_the_regions_of_all_parts():
    boxes, crops = MixedRegions([PROPOSALS, CELLS])(proposals([[10, 10, 20, 20]]), generator())
    assert boxes.tolist() == crops.tolist() == [[10, 10, 30, 30], [0, 0, 200, 100]]


@pytest.mark.parametrize(
    'arguments',
    [
        ([], None),
        ([CELLS], [1, 1]),
        ([CELLS, CELLS], [1, 0]),
        ([CELLS, CELLS], [1, float('nan')]),
        ([CELLS, CELLS], ['a', 'b']),
        ([CELLS, CELLS], 0.7),
    ],
)
def test_shares_are_one_positive_number_a_part(arguments):
    with pytest.raises(ValueError, match='expected'):
        MixedRegions(*arguments)


@pytest.mark.parametrize('sampler', [GridRegions, ProposalRegions])
def test_a_crop_has_a_size(sampler):
    with pytest.raises(ValueError, match=r'crop_scale.*-1\.5'):
        sampler(crop_scale=-1.5)


def test_objects_of_large_photos_are_regions():
    config = Config.fromfile(CONFIGS / '_base_/datasets/object_regions.py')
    photo = dict(ori_shape=(3000, 4000), boxes_xywh=np.array([[100.0, 100, 1500, 1200]]))
    boxes, _ = TASK_UTILS.build(config.object_regions.parts[0])(photo, generator())
    assert boxes.tolist() == [[100, 100, 1600, 1300]]
