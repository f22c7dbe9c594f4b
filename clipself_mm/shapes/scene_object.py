"""One object of a scene: class, outline, and how much of it is seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .classes import THING_CLASSES


@dataclass
class SceneObject:
    """One object of a scene.

    Attributes:
        label: Index into THING_CLASSES.
        rings: Outline in pixels, a list of (P, 2) arrays; a second ring is a hole.
        full_area: Pixels of its mask as if nothing stood before it.
        visible_area: Pixels of it that are seen.
    """

    label: int
    rings: list[np.ndarray]
    full_area: int
    visible_area: int

    @property
    def name(self) -> str:
        """The class name."""
        return THING_CLASSES[self.label]
