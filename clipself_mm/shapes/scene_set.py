"""A set of rendered scenes: its classes, its renderer and the styles of its images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

from clipself_mm.datasets.annotations.vocabulary import Vocabulary

from .scene import Scene, SceneStyle


@dataclass(frozen=True)
class SceneSet:
    """What the export and the training of a tiny CLIP use of a renderer.

    Attributes:
        name: Name of the data set, for example ``Shapes-OV``.
        things: Classes of the objects, with their split.
        stuff: Classes of the background; their labels follow those of things.
        render: Function (seed, index, style) that returns a scene.
        exported: Style of the images on disk.
        varied: Style of the images that a tiny CLIP is trained on.
        groups: Supercategory of each thing.
        definitions: One phrase per thing, for LVIS.
        source: What the renderer draws with, if it is not part of the code; for the manifest.
    """

    name: str
    things: Vocabulary
    stuff: tuple[str, ...]
    render: Callable[[int, int, SceneStyle], Scene]
    exported: SceneStyle
    varied: SceneStyle
    groups: tuple[str, ...]
    definitions: tuple[str, ...]
    source: str = ''

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """Names of things, then stuff, in the order of their labels."""
        return self.things.classes + self.stuff

    @property
    def manifest(self) -> str:
        """File name of the manifest, for example ``shapes_ov.json``."""
        return f'{self.name.lower().replace("-", "_")}.json'

    @property
    def single(self) -> SceneStyle:
        """Style of small images of one object that fills them."""
        return replace(self.varied, size=96, objects=(1, 1), side=(0.45, 0.95), max_stuff=2)
