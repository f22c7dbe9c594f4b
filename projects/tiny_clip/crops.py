"""Captioned crops of rendered scenes for the contrastive training of the tiny CLIP.

A teacher of CLIPSelf classifies patches and boxes of scenes. It is therefore trained on centred
objects, enlarged boxes, windows of all scales and offsets, and windows of stuff only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from clipself_mm.datasets.regions.enlarge_boxes import enlarge_about
from clipself_mm.datasets.transforms.crop_regions import crop_regions
from clipself_mm.shapes import SHAPES_OV, Scene, SceneSet
from clipself_mm.shapes.scene import Box, mask_box

from .captions import caption, dominant_stuff, name_content

TRAINING_SCENES = 1_000_000
"""First scene index of the training pool; exported data sets use lower ones."""
GRID_LIMIT = 6


@dataclass
class CaptionedBatch:
    """Images with captions.

    Attributes:
        images: uint8 (N, size, size, 3).
        captions: N captions.
        labels: Labels of the classes in each caption.
    """

    images: np.ndarray
    captions: list[str]
    labels: list[list[int]]


class CaptionedCrops:
    """Captioned crops of a pool of scenes; the batch of a step is a pure function of (seed, step).

    Args:
        scenes: Number of scenes in the pool.
        singles: Number of small renders of one centred object.
        seed: Seed of scenes and batches.
        size: Side of the crops in pixels.
        progress: Wraps the iteration over scene numbers, for example ``tqdm``.
        scene_set: Renderer and classes.
    """

    SHARES = (0.2, 0.4, 0.28, 0.12)
    """Shares of centred objects, enlarged boxes, windows and stuff windows."""

    def __init__(
        self,
        scenes: int,
        singles: int,
        seed: int,
        size: int = 64,
        progress: Callable[..., Iterable[int]] = iter,
        scene_set: SceneSet = SHAPES_OV,
    ) -> None:
        self.seed = seed
        self.scene_set = scene_set
        self.size = size
        start = TRAINING_SCENES
        numbers = progress(range(start, start + scenes + singles))
        rendered = [
            scene_set.render(seed, n, scene_set.varied if n < start + scenes else scene_set.single)
            for n in numbers
        ]
        self.scenes, self.singles = rendered[:scenes], rendered[scenes:]

    def batch(self, step: int, count: int) -> CaptionedBatch:
        """The batch of a step, `count` crops."""
        rng = np.random.default_rng([self.seed, step])
        batch = CaptionedBatch(np.empty((count, self.size, self.size, 3), np.uint8), [], [])
        kinds = rng.choice(len(self.SHARES), size=count, p=self.SHARES)
        samplers = (self._centred, self._boxed, self._window, self._stuff)
        for row, kind in enumerate(kinds):
            scene, box, labels = samplers[kind](rng)
            batch.images[row] = cut_square(scene.image, box, self.size)
            batch.labels.append(labels)
            batch.captions.append(caption(labels, rng, self.scene_set))
        return batch

    def _centred(self, rng: np.random.Generator) -> tuple[Scene, Box, list[int]]:
        scene = self.singles[rng.integers(len(self.singles))]
        size = scene.image.shape[0]
        box = enlarge_box(mask_box(scene.object_map), rng.uniform(1.0, 1.8), size)
        return scene, box, [scene.objects[0].label]

    def _boxed(self, rng: np.random.Generator) -> tuple[Scene, Box, list[int]]:
        scene = self._any(rng)
        numbers = scene.annotated()
        if not numbers:
            return self._window(rng)
        number = numbers[rng.integers(len(numbers))]
        tight = mask_box(scene.visible_mask(number))
        scale = np.exp(rng.uniform(np.log(0.7), np.log(2.2)))
        shift_x, shift_y = rng.uniform(-0.15, 0.15, 2)
        box = enlarge_box(tight, scale, scene.image.shape[0], (shift_x, shift_y))
        return scene, box, [scene.objects[number].label]

    def _window(self, rng: np.random.Generator) -> tuple[Scene, Box, list[int]]:
        scene = self._any(rng)
        size = scene.image.shape[0]
        sides = size / rng.uniform(1, GRID_LIMIT, 2)
        sides = np.maximum(sides, sides.max() / 2.5)
        corner = rng.uniform(0, 1, 2) * (size - sides)
        box = _rounded(np.concatenate([corner, corner + sides]))
        return scene, box, name_content(scene, box, self.scene_set)

    def _stuff(self, rng: np.random.Generator) -> tuple[Scene, Box, list[int]]:
        """A window with less than 3% objects; any window after 20 trials."""
        for _ in range(20):
            scene, box, labels = self._window(rng)
            x0, y0, x1, y1 = box
            if (scene.object_map[y0:y1, x0:x1] > 0).mean() < 0.03:
                return scene, box, [dominant_stuff(scene, box, self.scene_set)]
        return scene, box, labels

    def _any(self, rng: np.random.Generator) -> Scene:
        return self.scenes[rng.integers(len(self.scenes))]


def cut_square(image: np.ndarray, box: Box, size: int) -> np.ndarray:
    """Crop a box, resized and padded to a square as the crops of a teacher.

    Args:
        image: RGB, uint8 (H, W, 3).
        box: x0, y0, x1, y1 in pixels within the image.
        size: Side of the square. The longest side of the box is resized to it (bicubic), the rest
            is zero padding on both sides.

    Returns:
        uint8 (size, size, 3).
    """
    return crop_regions(image, np.array([box]), size)[0].transpose(1, 2, 0)


def enlarge_box(box: Box, scale: float, size: int, shift: tuple[float, float] = (0.0, 0.0)) -> Box:
    """Scale a box about its centre and clip it to the image.

    Args:
        box: x0, y0, x1, y1 in pixels.
        scale: Factor on both sides.
        size: Side of the image in pixels.
        shift: Offset (x, y) of the centre as a share of the sides.

    Returns:
        x0, y0, x1, y1 in pixels, rounded half to even.
    """
    low, high = np.array(box[:2], float), np.array(box[2:], float)
    centre = (low + high) / 2 + np.array(shift) * (high - low)
    corners = enlarge_about(centre[None], (high - low)[None], scale, size, size)[0]
    return _rounded(corners)


def _rounded(corners: np.ndarray) -> Box:
    x0, y0, x1, y1 = (int(value) for value in np.rint(corners))
    return x0, y0, x1, y1
