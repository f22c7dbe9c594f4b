"""The renderer of Emoji-OV: a scene is a pure function of (seed, index) and the font."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import cv2
import numpy as np

from clipself_mm.shapes import Scene, SceneObject, SceneSet, SceneStyle
from clipself_mm.shapes.scene import mask_box
from clipself_mm.shapes.scenes import draw_stuff, finish_scene, place_objects

from .classes import EMOJI, STUFF_CLASSES, THINGS
from .font import FONT, font_source, load_emoji
from .textures import TEXTURES

SUPERSAMPLING = 2


class EmojiObject(SceneObject):
    """One emoji of a scene; it has no outline."""

    @property
    def name(self) -> str:
        """The class name."""
        return THINGS.classes[self.label]


def emoji_ov(font: Path = FONT) -> SceneSet:
    """Emoji-OV as a set of scenes.

    Args:
        font: Path of NotoColorEmoji.ttf.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is not a font with colour bitmaps, or it has no emoji of a class.
    """
    load_emoji(font)
    groups = [(group, name) for group, names in EMOJI.items() for name in names]
    return SceneSet(
        name='Emoji-OV',
        things=THINGS,
        stuff=STUFF_CLASSES,
        render=partial(render_scene, font=font),
        exported=SceneStyle(objects=(2, 7), side=(0.15, 0.45), max_angle=25, max_cover=0.25),
        varied=SceneStyle(objects=(2, 8), side=(0.13, 0.5), max_cover=0.35),
        groups=tuple(group for group, _ in groups),
        definitions=tuple(f'a drawing of a {name}' for _, name in groups),
        source=font_source(font),
    )


def render_scene(seed: int, index: int, style: SceneStyle, font: Path = FONT) -> Scene:
    """Render one scene.

    Args:
        seed: Seed of the data set.
        index: Index of the scene.
        style: Statistics of the scene.
        font: Path of the font.

    Returns:
        The scene, a deterministic function of the arguments.
    """
    emoji = load_emoji(font)
    rng = np.random.default_rng([seed, index])
    canvas, stuff_map = draw_stuff(rng, style, [TEXTURES[kind] for kind in STUFF_CLASSES])
    object_map = np.zeros(stuff_map.shape, np.uint8)
    scene = Scene(image=np.empty(0), object_map=object_map, stuff_map=stuff_map)

    def draw(label: int, side: float, angle: float, aspect: float) -> tuple[np.ndarray, np.ndarray]:
        cutout = turn(emoji[label], side, angle, aspect)
        return np.array(cutout.shape[1::-1]), cutout

    for label, corner, drawn in place_objects(rng, style, len(emoji), draw):
        cutout = _vary(rng, drawn[: style.size, : style.size])
        (x0, y0), (height, width) = corner.astype(int), cutout.shape[:2]
        place = slice(y0, y0 + height), slice(x0, x0 + width)
        mask = cutout[..., 3] >= 0.5
        object_map[place][mask] = len(scene.objects) + 1
        scene.objects.append(EmojiObject(label, [], int(mask.sum()), 0))
        canvas[place] += 255 * cutout[..., :3] - cutout[..., 3:] * canvas[place]
    finish_scene(rng, scene, canvas)
    return scene


def turn(emoji: np.ndarray, side: float, angle: float, aspect: float = 1.0) -> np.ndarray:
    """Scale and rotate an emoji, anti-aliased.

    Args:
        emoji: RGBA with premultiplied alpha, float32 (h, w, 4).
        side: Length of its longest side before rotation, in pixels.
        angle: Rotation in radians.
        aspect: Factor on its width before rotation.

    Returns:
        float32 (h, w, 4), cut to pixels with at least half coverage.
    """
    height, width = emoji.shape[:2]
    scale = SUPERSAMPLING * side / max(height, width)
    sides = max(2, round(aspect * scale * width)), max(2, round(scale * height))
    fine = cv2.resize(emoji, sides, interpolation=cv2.INTER_AREA)
    reach = int(np.ceil(np.hypot(*sides) / SUPERSAMPLING)) + 2
    centre = sides[0] / 2, sides[1] / 2
    matrix = np.array(cv2.getRotationMatrix2D(centre, np.rad2deg(angle), 1), np.float64)
    matrix[:, 2] += reach * SUPERSAMPLING / 2 - np.array(sides) / 2
    turned = cv2.warpAffine(fine, matrix, (reach * SUPERSAMPLING, reach * SUPERSAMPLING))
    small = cv2.resize(turned, (reach, reach), interpolation=cv2.INTER_AREA)
    x0, y0, x1, y1 = mask_box(small[..., 3] >= 0.5)
    return small[y0:y1, x0:x1]


def _vary(rng: np.random.Generator, cutout: np.ndarray) -> np.ndarray:
    """Mirror at random, and change brightness and saturation."""
    if rng.random() < 0.5:
        cutout = cutout[:, ::-1]
    colours, alpha = cutout[..., :3], cutout[..., 3:]
    grey = colours.mean(axis=-1, keepdims=True)
    colours = rng.uniform(0.75, 1.1) * (grey + rng.uniform(0.55, 1.25) * (colours - grey))
    return np.concatenate([np.clip(colours, 0, alpha), alpha], axis=-1)
