"""The renderer: purity, masks, the rule of what is annotated."""

import numpy as np
import pytest

from clipself_mm.datasets.annotations.vocabulary import load_vocabulary
from clipself_mm.shapes.classes import (
    ALL_CLASSES,
    BASE_CLASSES,
    NOVEL_CLASSES,
    SHAPES,
    STUFF_CLASSES,
    THING_CLASSES,
    colour_of,
    shape_of,
)
from clipself_mm.shapes.outlines import place_outline, unit_outline
from clipself_mm.shapes.scene import Scene, SceneObject, SceneStyle, mask_box
from clipself_mm.shapes.scenes import PALETTE, rasterise, render_scene
from clipself_mm.shapes.textures import TEXTURES


def test_65_things_with_three_novel_shapes():
    assert len(THING_CLASSES) == len(set(THING_CLASSES)) == 65
    assert len(BASE_CLASSES) == 50
    assert len(NOVEL_CLASSES) == 15
    assert len(STUFF_CLASSES) == 8
    novel_shapes = {name.split()[1] for name in NOVEL_CLASSES}
    assert len(novel_shapes) == 3
    assert not novel_shapes & {name.split()[1] for name in BASE_CLASSES}
    assert ALL_CLASSES[:65] == THING_CLASSES == load_vocabulary('shapes_ov_panoptic').things
    assert [f'{colour} {shape}' for shape in SHAPES for colour in PALETTE] == list(THING_CLASSES)
    assert (shape_of(44), colour_of(44)) == ('arrow', 'purple')


def test_a_scene_is_a_function_of_seed_and_index():
    first, again = render_scene(3, 17), render_scene(3, 17)
    assert first.image.tobytes() == again.image.tobytes()
    assert first.object_map.tobytes() == again.object_map.tobytes()
    assert [item.label for item in first.objects] == [item.label for item in again.objects]
    assert render_scene(3, 18).image.tobytes() != first.image.tobytes()
    assert render_scene(4, 17).image.tobytes() != first.image.tobytes()


def test_scenes_follow_the_style():
    style = SceneStyle(size=96, objects=(2, 4), max_stuff=2)
    scenes = [render_scene(0, index, style) for index in range(30)]
    counts = {len(scene.objects) for scene in scenes}
    assert counts <= {1, 2, 3, 4}
    assert len(counts) > 1
    assert {len(np.unique(scene.stuff_map)) for scene in scenes} == {1, 2}
    for scene in scenes:
        assert scene.image.shape == (96, 96, 3)
        assert scene.image.dtype == np.uint8
        for number, item in enumerate(scene.objects):
            assert scene.visible_mask(number).sum() == item.visible_area <= item.full_area
            assert rasterise(item.rings, 96).sum() == item.full_area
            for ring in item.rings:
                assert ring.min() >= 0
                assert ring.max() <= 96


def test_default_scenes_have_at_most_nine_objects():
    counts = [len(render_scene(0, index).objects) for index in range(40)]
    assert max(counts) <= 9
    assert np.mean(np.array(counts) >= 3) > 0.9


def test_pixels_of_an_object_have_its_colour():
    """Inside a mask the mean colour is nearest to the class's own colour, for every colour."""
    seen = set()
    for index in range(25):
        scene = render_scene(1, index)
        for number, item in enumerate(scene.objects):
            if item.visible_area < 200:
                continue
            mean = scene.image[scene.visible_mask(number)].astype(float).mean(axis=0)
            direction = {
                name: np.dot(mean, value) / np.linalg.norm(mean) / np.linalg.norm(value)
                for name, value in PALETTE.items()
            }
            assert max(direction, key=direction.get) == colour_of(item.label)
            seen.add(colour_of(item.label))
    assert seen == set(PALETTE)


def test_later_objects_occlude_earlier_ones():
    style = SceneStyle(size=128, objects=(6, 6), max_cover=1.0)
    hidden = 0
    for index in range(10):
        scene = render_scene(0, index, style)
        for number, item in enumerate(scene.objects):
            full = rasterise(item.rings, 128)
            for above in range(number + 1, len(scene.objects)):
                full &= ~rasterise(scene.objects[above].rings, 128)
            np.testing.assert_array_equal(scene.visible_mask(number), full)
            hidden += item.visible_area < item.full_area
    assert hidden > 10


@pytest.mark.parametrize(
    ('height', 'width', 'full', 'kept'),
    [
        (10, 10, 100, True),
        (10, 10, 333, True),  # 30.03% seen
        (10, 10, 334, False),  # 29.94% seen
        (8, 8, 64, True),
        (7, 30, 210, False),  # lower than 8 px
        (30, 7, 210, False),
        (0, 0, 50, False),
    ],
)
def test_occluded_and_tiny_objects_are_not_annotated(height, width, full, kept):
    object_map = np.zeros((64, 64), np.uint8)
    object_map[5 : 5 + height, 9 : 9 + width] = 1
    scene = Scene(
        np.zeros((64, 64, 3), np.uint8),
        object_map,
        np.zeros_like(object_map),
        [SceneObject(0, [], full, height * width)],
    )
    assert scene.is_annotated(0) is kept
    assert scene.annotated() == ([0] if kept else [])


def test_mask_box_by_hand():
    mask = np.zeros((6, 8), bool)
    assert mask_box(mask) == (0, 0, 0, 0)
    mask[2:5, 3] = True
    mask[4, 6] = True
    assert mask_box(mask) == (3, 2, 7, 5)


def test_rasterise_a_square_with_a_hole_by_hand():
    outer = np.array([(1, 1), (9, 1), (9, 9), (1, 9)], float)
    hole = np.array([(3, 3), (6, 3), (6, 6), (3, 6)], float)
    mask = rasterise([outer, hole], 12)
    expected = np.zeros((12, 12), bool)
    expected[1:9, 1:9] = True
    expected[3:6, 3:6] = False
    np.testing.assert_array_equal(mask, expected)


def test_a_placed_square_by_hand():
    """A square of side 20 turned by 90 degrees about (50, 40) maps onto itself."""
    (ring,) = place_outline('square', (50, 40), 20, np.pi / 2)
    assert sorted(map(tuple, ring.tolist())) == [(40, 30), (40, 50), (60, 30), (60, 50)]
    (turned,) = place_outline('bar', (0, 0), 20, np.pi / 2)
    assert np.ptp(turned, axis=0).tolist() == [4.8, 20]


def test_silhouettes_differ():
    """No two shapes have an intersection over union above 85% in any rotation."""
    masks = {}
    for shape in SHAPES:
        assert 0.95 <= max(np.abs(ring).max() for ring in unit_outline(shape)) <= 1.25
        masks[shape] = [
            rasterise(place_outline(shape, (40, 40), 60, np.deg2rad(angle)), 80)
            for angle in range(-40, 41, 20)
        ]
    for place, one in enumerate(SHAPES):
        for other in SHAPES[place + 1 :]:
            worst = max((a & b).sum() / (a | b).sum() for a in masks[one] for b in masks[other])
            assert worst < 0.85, (one, other, worst)


def test_textures_differ():
    means = []
    for kind in STUFF_CLASSES:
        image = TEXTURES[kind](np.random.default_rng(0), 64)
        assert image.shape == (64, 64, 3)
        assert np.isfinite(image).all()
        assert image.std() > 2
        means.append(image.reshape(-1, 3).mean(axis=0))
    distances = np.linalg.norm(np.array(means)[:, None] - np.array(means)[None], axis=-1)
    assert (distances + 1e3 * np.eye(8)).min() > 8
