"""What captions of windows name, and how far they overlap."""

import numpy as np
import pytest

from clipself_mm.clip import expand_prompts
from clipself_mm.shapes.classes import ALL_CLASSES, THING_CLASSES
from clipself_mm.shapes.scene import Scene, SceneObject
from projects.tiny_clip.captions import (
    caption,
    dominant_stuff,
    name_content,
    overlap_targets,
)


@pytest.fixture
def scene():
    """100 x 100: object 0 (label 7) 40 x 40 at the left top, object 1 (label 20) 20 x 20."""
    object_map = np.zeros((100, 100), np.uint8)
    object_map[0:40, 0:40] = 1
    object_map[60:80, 60:80] = 2
    stuff_map = np.full((100, 100), 2, np.uint8)
    stuff_map[:, 50:] = 5
    objects = [SceneObject(7, [], 1600, 1600), SceneObject(20, [], 400, 400)]
    return Scene(np.zeros((100, 100, 3), np.uint8), object_map, stuff_map, objects)


@pytest.mark.parametrize(
    ('box', 'expected'),
    [
        ((0, 0, 50, 50), [7]),
        ((30, 30, 90, 90), [20]),  # 6% of object 0, all of object 1
        ((0, 0, 100, 100), [7]),  # object 1 is a quarter of object 0
        ((10, 25, 90, 90), [20]),  # 450 px, 28% of object 0
        ((10, 20, 90, 90), [7, 20]),  # 600 px, 37.5% of it
        ((0, 0, 10, 10), [7]),  # 6% of object 0, but it fills the window
        ((0, 80, 40, 100), [ALL_CLASSES.index('sand')]),
        ((45, 0, 100, 40), [ALL_CLASSES.index('snow')]),
    ],
)
def test_name_content_by_hand(scene, box, expected):
    assert name_content(scene, box) == expected


def test_dominant_stuff_ignores_objects(scene):
    assert dominant_stuff(scene, (30, 0, 52, 40)) == ALL_CLASSES.index('sand')
    assert dominant_stuff(scene, (38, 0, 60, 40)) == ALL_CLASSES.index('sand')
    assert dominant_stuff(scene, (45, 0, 60, 40)) == ALL_CLASSES.index('snow')
    assert dominant_stuff(scene, (0, 0, 10, 10)) == ALL_CLASSES.index('sand')  # all covered


def test_captions_of_one_class_are_the_evaluation_prompts_and_plain_phrases():
    label = THING_CLASSES.index('purple hourglass')
    rng = np.random.default_rng(0)
    seen = {caption([label], rng) for _ in range(2000)}
    plain = {'purple hourglass', 'a purple hourglass', 'a photo of a purple hourglass'}
    assert seen == set(expand_prompts('purple hourglass')) | plain


def test_captions_of_several_classes():
    labels = [THING_CLASSES.index('red star'), ALL_CLASSES.index('grass'), 3]
    for draw in range(20):
        text = caption(labels, np.random.default_rng(draw))
        assert 'a red star' in text
        assert 'grass' in text
        assert 'a grass' not in text
        assert f'a {THING_CLASSES[3]}' in text


def test_overlap_targets_by_hand():
    """Overlaps: {1} with {1, 2} is 1/2, {1, 2} with {2, 3} is 1/3, {1} with {2, 3} is 0."""
    targets = overlap_targets([[1], [1, 2], [2, 3], [1]])
    expected = np.array(
        [[1, 1 / 2, 0, 1], [1 / 2, 1, 1 / 3, 1 / 2], [0, 1 / 3, 1, 0], [1, 1 / 2, 0, 1]]
    )
    np.testing.assert_allclose(targets, expected / expected.sum(1, keepdims=True), rtol=1e-6)
