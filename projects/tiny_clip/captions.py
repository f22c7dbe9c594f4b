"""Captions of windows of a scene, and soft targets between captions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from clipself_mm.clip import expand_prompts
from clipself_mm.shapes import SHAPES_OV, Scene, SceneSet
from clipself_mm.shapes.scene import Box


def name_content(scene: Scene, box: Box, scenes: SceneSet = SHAPES_OV) -> list[int]:
    """Classes for the caption of a window.

    Args:
        scene: The scene.
        box: x0, y0, x1, y1 of the window in pixels.
        scenes: The set the scene belongs to.

    Returns:
        Labels, largest first: up to three objects with at least 35% of their
        visible area in the window; else an object of which a part fills 8% of the window; else the
        stuff class with the largest area.
    """
    x0, y0, x1, y1 = box
    inside = scene.object_map[y0:y1, x0:x1]
    areas = np.bincount(inside.ravel(), minlength=len(scene.objects) + 1)[1:]
    seen = {number: int(areas[number]) for number in scene.annotated() if areas[number]}
    order = sorted(seen, key=lambda number: -seen[number])
    whole = [
        number
        for number in order
        if seen[number] >= max(0.35 * scene.objects[number].visible_area, 0.02 * inside.size)
    ]
    if whole:
        largest = seen[whole[0]]
        return [scene.objects[n].label for n in whole if seen[n] >= 0.35 * largest][:3]
    if order and seen[order[0]] >= 0.08 * inside.size:
        return [scene.objects[order[0]].label]
    return [dominant_stuff(scene, box, scenes)]


def dominant_stuff(scene: Scene, box: Box, scenes: SceneSet = SHAPES_OV) -> int:
    """Label of the stuff class with the largest visible area in a window."""
    x0, y0, x1, y1 = box
    free = scene.object_map[y0:y1, x0:x1] == 0
    kinds = scene.stuff_map[y0:y1, x0:x1]
    visible = kinds[free] if free.any() else kinds.ravel()
    return len(scenes.things.classes) + int(np.bincount(visible).argmax())


def with_article(label: int, scenes: SceneSet = SHAPES_OV) -> str:
    """Class name with article: 'a red star', but 'grass'."""
    name = scenes.classes[label]
    return f'a {name}' if label < len(scenes.things.classes) else name


def caption(labels: Sequence[int], rng: np.random.Generator, scenes: SceneSet = SHAPES_OV) -> str:
    """Random caption with the names of classes.

    Args:
        labels: Labels, at least one.
        rng: Random generator.
        scenes: The set with their names.

    Returns:
        One of the 63 evaluation prompts or a plain phrase for one class, a list for several.
    """
    if len(labels) == 1:
        name, phrase = scenes.classes[labels[0]], with_article(labels[0], scenes)
        plain = (name, phrase, f'a photo of {phrase}')
        prompts = expand_prompts(name)
        pick = int(rng.integers(len(prompts) + 20))
        return prompts[pick] if pick < len(prompts) else plain[pick % len(plain)]
    phrases = [with_article(label, scenes) for label in rng.permutation(list(labels))]
    listing = ', '.join(phrases[:-1]) + f' and {phrases[-1]}'
    opening = ('', 'a photo of ', 'a scene with ', 'there is ')[int(rng.integers(4))]
    return opening + listing


def overlap_targets(label_sets: Sequence[Sequence[int]]) -> np.ndarray:
    """Soft targets of a contrastive batch: captions with common classes are not negatives.

    Args:
        label_sets: Classes of each of the N captions.

    Returns:
        float32 (N, N); entry (i, j) is proportional to the Jaccard index of captions i and j, rows
        sum to 1.
    """
    named = np.zeros((len(label_sets), 1 + max(map(max, label_sets))), np.float32)
    for row, labels in zip(named, label_sets, strict=True):
        row[list(labels)] = 1
    common = named @ named.T
    counts = named.sum(axis=1)
    jaccard = common / (counts[:, None] + counts[None, :] - common)
    return jaccard / jaccard.sum(axis=1, keepdims=True)
