"""What one visitor has chosen: the image, and examples boxed in it or in an earlier one."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from PIL import ImageDraw

from clipself_mm.datasets.exemplars import Exemplar, Exemplars

from .detection import MAX_NAME_LENGTH
from .drawing import draw_boxes, fit
from .images import PageImage

SHOWN_SIDE = 800
"""Longest side of the shown image in pixels."""
MIN_SIDE = 8
"""Least side of a box in pixels of the shown image."""
MAX_EXAMPLES = 20
_COLOUR = (194, 65, 12)


@dataclass(frozen=True, eq=False)
class Example:
    """An object that was boxed.

    Args:
        name: Name of its class.
        image: The image it was boxed in.
        box: x0, y0, x1, y1 in pixels of the image.
    """

    name: str
    image: PageImage
    box: tuple[int, int, int, int]


@dataclass(frozen=True, eq=False)
class Session:
    """The image and the examples of one visitor.

    Args:
        image: The image.
        corner: First corner (x, y) of a box that has no second one yet, in pixels as shown.
        examples: The boxed objects.
    """

    image: PageImage
    corner: tuple[float, float] | None = None
    examples: tuple[Example, ...] = ()

    def choose(self, image: PageImage) -> Session:
        """Change the image; examples stay."""
        return replace(self, image=image, corner=None)

    def click(self, x: float, y: float, name: str) -> Session:
        """A click on the shown image: the first corner of a box, or the second.

        Args:
            x: Pixel of the shown image.
            y: Pixel of the shown image.
            name: Name of the class of the boxed object.

        Raises:
            ValueError: The box is too small, has no name, or there are too many; the text is a
                sentence.
        """
        if self.corner is None:
            return replace(self, corner=(x, y))
        (left, right), (top, bottom) = sorted((self.corner[0], x)), sorted((self.corner[1], y))
        if min(right - left, bottom - top) < MIN_SIDE:
            raise ValueError('The box is too small: click two opposite corners of an object')
        name = ' '.join(name.split())
        if not 0 < len(name) <= MAX_NAME_LENGTH:
            raise ValueError(f'Give the example a name of at most {MAX_NAME_LENGTH} characters')
        if len(self.examples) >= MAX_EXAMPLES:
            raise ValueError(f'{MAX_EXAMPLES} examples are the most: remove some')
        height, width = self.image.rgb.shape[:2]
        scale = max(width, height) / SHOWN_SIDE
        box = (
            int(left * scale),
            int(top * scale),
            min(round(right * scale) or 1, width),
            min(round(bottom * scale) or 1, height),
        )
        example = Example(name, self.image, box)
        return replace(self, corner=None, examples=(*self.examples, example))

    def forget(self) -> Session:
        """Remove the examples and a first corner."""
        return replace(self, corner=None, examples=())

    def exemplars(self) -> Exemplars:
        """The examples as `OpenVocabDetector` takes them."""
        bgr = {example.image: example.image.rgb[..., ::-1] for example in self.examples}
        found: Exemplars = {}
        for example in self.examples:
            found.setdefault(example.name, []).append(Exemplar(bgr[example.image], example.box))
        return found

    def shown(self) -> np.ndarray:
        """The image with the boxes of its examples: RGB, longest side `SHOWN_SIDE`."""
        shown = fit(self.image.rgb, SHOWN_SIDE)
        scale = SHOWN_SIDE / max(self.image.rgb.shape[:2])
        here = [example for example in self.examples if example.image is self.image]
        boxes = [[scale * side for side in example.box] for example in here]
        draw_boxes(shown, boxes, [example.name for example in here], [_COLOUR] * len(here))
        if self.corner is not None:
            x, y = self.corner
            pen = ImageDraw.Draw(shown)
            pen.line((x - 14, y, x + 14, y), _COLOUR, 4)
            pen.line((x, y - 14, x, y + 14), _COLOUR, 4)
        return np.asarray(shown)
