"""Exemplars: pictures that say what a class is, from a call, a folder or an annotation file."""

from __future__ import annotations

import os
import unicodedata
import zlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mmengine.logging import print_log

from clipself_mm.io.names import name_key, near_misses

from .annotations.boxes import BoxCounts, read_boxes
from .annotations.coco_json import image_file_name, load_instances
from .input_images import InputImage, list_inputs
from .transforms.load_rgb import LoadRGB


@dataclass(frozen=True, eq=False)
class Exemplar:
    """A picture of a class: an object in an image, or a crop of it.

    Args:
        image: One image, see `list_inputs`.
        box: x0, y0, x1, y1 of the object in pixels of the upright image; None if the image is a
            crop of the object.
    """

    image: object
    box: Sequence[float] | None = None

    @property
    def input(self) -> InputImage:
        """The image, not read yet; errors as in `list_inputs`."""
        images = list_inputs(self.image)
        if len(images) > 1:
            raise ValueError(f'expected one image, got {len(images)}: {self.image!r:.80}')
        return images[0]

    def box_in(self, width: int, height: int) -> np.ndarray | None:
        """The box, clipped to its image.

        Args:
            width: Width of the image in pixels.
            height: Height of the image in pixels.

        Returns:
            xyxy in pixels, float64 of shape (4); None for a crop.

        Raises:
            ValueError: The box is not four finite numbers, or has no area in the image.
        """
        if self.box is None:
            return None
        where = f'{self.input.label}: the box {list(self.box)!r:.80} of an exemplar'
        try:
            box = np.array(self.box, np.float64)
        except (TypeError, ValueError):
            box = np.array(np.nan)
        if box.shape != (4,) or not np.isfinite(box).all():
            raise ValueError(f'{where}: expected four finite numbers x0, y0, x1, y1')
        clipped = np.clip(box, 0, [width, height, width, height])
        if (clipped[2:] <= clipped[:2]).any():
            raise ValueError(f'{where} has no area in the image of {width} x {height} pixels')
        return clipped


Exemplars = dict[str, list[Exemplar]]
"""Class name to its pictures, at least one."""


def list_exemplars(given: str | Path | Mapping[str, object]) -> Exemplars:
    """List the exemplars of a call; files are not read.

    Args:
        given: Folder with a sub-folder per class, see `read_exemplar_folder`; or class name to one
            or a list of: an `Exemplar`, or a crop in any form that `list_inputs` takes (a folder
            is all its images).

    Raises:
        TypeError, ValueError: There is no class, or a class has no picture or one of another kind.
        ImageReadError: A file does not exist.
    """
    if isinstance(given, (str, Path)):
        return read_exemplar_folder(given)
    if not isinstance(given, Mapping) or not given:
        raise TypeError(
            f'exemplars: expected a folder, or class names with their pictures, got {given!r:.80}'
        )
    found: Exemplars = {}
    for name, pictures in given.items():
        key = ' '.join(unicodedata.normalize('NFC', str(name)).split())
        if not key:
            raise ValueError(f'exemplars: expected class names, got {name!r}')
        items = list(pictures) if isinstance(pictures, (list, tuple)) else [pictures]
        listed: list[Exemplar] = []
        try:
            for item in items:
                if isinstance(item, Exemplar):
                    listed.append(item)
                else:
                    listed += [Exemplar(image) for image in list_inputs(item)]
        except (TypeError, ValueError) as error:
            raise type(error)(f'exemplars of {name!r}: {error}') from error
        if not listed:
            raise ValueError(f'exemplars of {name!r}: expected at least one picture, got none')
        found.setdefault(key, []).extend(listed)
    return found


def read_exemplar_folder(folder: str | Path) -> Exemplars:
    """Read a folder with one sub-folder of crops per class, which has the name of the class.

    Hidden folders are left out.

    Raises:
        NotADirectoryError: There is no such folder.
        ValueError: It has no sub-folder, images beside them, or a sub-folder without an image.
    """
    if not os.path.isdir(folder):
        raise NotADirectoryError(f'{folder}: expected a folder with a sub-folder per class')
    names = sorted(
        entry.name for entry in os.scandir(folder) if entry.is_dir() and entry.name[0] not in '._'
    )
    if not names:
        raise ValueError(f'{folder}: expected a sub-folder per class with its pictures, found none')
    stray = [image.name for image in _images_of(folder) if '/' not in image.name]
    if stray:
        raise ValueError(
            f'{folder}: {stray[0]} is in no sub-folder, which would name its class '
            f'({len(stray)} such images)'
        )
    return list_exemplars({name: _images_of(os.path.join(folder, name)) for name in names})


def _images_of(folder: str | Path) -> list[InputImage]:
    return list_inputs(str(folder))


def read_exemplar_boxes(
    path: str,
    image_root: str,
    per_class: int | None = None,
    seed: int = 0,
    classes: Sequence[str] | None = None,
) -> Exemplars:
    """Choose boxes of a COCO-style annotation file.

    Crowds and boxes without area or outside their image are not chosen; their number is logged.
    A larger `per_class` keeps the boxes of a smaller one.

    Args:
        path: The annotation file.
        image_root: Folder of its images.
        per_class: Most boxes of a class, chosen by the seed; None for all.
        seed: Of the choice.
        classes: Classes to read; by default all that have a box.

    Raises:
        FileNotFoundError, ValueError: As in `load_instances`; or a class is not among the
            categories or has no usable box.
    """
    if per_class is not None and per_class < 1:
        raise ValueError(f'exemplars per class: expected at least 1, got {per_class}')
    content = load_instances(path)
    names = list(dict.fromkeys(name_key(entry['name']) for entry in content['categories']))
    label_of = {
        entry['id']: names.index(name_key(entry['name'])) for entry in content['categories']
    }
    wanted = names if classes is None else [name_key(name) for name in classes]
    if unknown := [name for name in wanted if name not in names]:
        raise ValueError(
            f'{path}: has no category {unknown[:5]} among {len(names)}{near_misses(unknown, names)}'
        )
    counts = BoxCounts(path, len(content['images']))
    usable: dict[str, list[tuple[dict, list[float]]]] = defaultdict(list)
    for annotation, box, label, reason in read_boxes(content, counts, label_of, names, min_side=1):
        if reason is None:
            usable[names[label]].append((annotation, box))
    counts.report(classes=() if classes is None else wanted)
    if empty := [name for name in wanted if name not in usable and classes is not None]:
        raise ValueError(f'{path}: no box of {empty[:5]} can be used ({counts})')
    image_of = {image['id']: image for image in content['images']}
    found: Exemplars = {}
    for name in wanted:
        if name not in usable:
            continue
        order = np.random.default_rng([seed, zlib.crc32(name.encode())])
        chosen = sorted(order.permutation(len(usable[name]))[:per_class])
        found[name] = []
        for annotation, (x, y, w, h) in (usable[name][number] for number in chosen):
            entry = image_of[annotation['image_id']]
            file = os.path.join(image_root, image_file_name(entry, path))
            sample = dict(
                img_path=file,
                width=entry.get('width'),
                height=entry.get('height'),
                boxes_extent=counts.extents.get(entry['id']),
            )
            found[name].append(Exemplar(_AnnotatedImage(sample, file, file), (x, y, x + w, y + h)))
    print_log(
        f'{path}: {sum(map(len, found.values()))} exemplars of {len(found)} classes', 'current'
    )
    return found


class _AnnotatedImage(InputImage):
    """An image in the frame of its annotation, see `LoadRGB`; `source` is its sample."""

    def read_rgb(self) -> np.ndarray:
        """As in `InputImage`."""
        return LoadRGB()(dict(self.source))['img']
