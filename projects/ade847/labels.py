"""Label maps of ADE20K-847 from the full ADE20K release (2021_17_01)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from clipself_mm.datasets import ImageReadError
from clipself_mm.datasets.annotations.vocabulary import is_name
from clipself_mm.datasets.image_files import decode_image, read_bytes
from clipself_mm.io.atomic_write import atomic_write
from clipself_mm.io.safe_pickle import ARRAYS, SCALARS, load_pickle
from clipself_mm.segmentation.ade847_dataset import IGNORE, NUM_CLASSES

_KEYS = ('filename', 'folder', 'objectnames', 'objectPresence', 'objectIsPart')
CLASSES_NAME = 'ade847.json'


@dataclass(frozen=True)
class ADEIndex:
    """Content of ``index_ade20k.pkl``.

    Attributes:
        path: The file.
        images: Paths of the N images in the release.
        names: Names of the C objects; object c has the value c + 1 in the ``_seg.png`` files.
        whole: Number of occurrences per object and image, not counting parts, int64 (C, N).
    """

    path: Path
    images: tuple[str, ...]
    names: tuple[str, ...]
    whole: np.ndarray

    @property
    def validation(self) -> np.ndarray:
        """Mask of the images of the validation set, bool (N)."""
        return np.array([Path(image).name.startswith('ADE_val_') for image in self.images])


def read_index(path: str | Path) -> ADEIndex:
    """Read the index of the release.

    Args:
        path: ``ADE20K_2021_17_01/index_ade20k.pkl``.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: The file is broken, is not the index, or its pickle has types that are not
            allowed.
    """
    path = Path(path)
    content = load_pickle(path, {**ARRAYS, **SCALARS}, 'index_ade20k.pkl of ADE20K')
    if not isinstance(content, dict) or not set(_KEYS) <= content.keys():
        found = sorted(content) if isinstance(content, dict) else type(content).__name__
        raise ValueError(f'{path}: expected a dict with {list(_KEYS)}, got {found}')
    files, folders, names = (list(content[key]) for key in _KEYS[:3])
    for key, texts in zip(_KEYS, (files, folders, names), strict=False):
        wrong = [text for text in texts if not is_name(text)]
        if wrong:
            raise ValueError(f'{path}: expected names as {key}, got {wrong[0]!r:.80}')
    presence, parts = (np.asarray(content[key]) for key in _KEYS[3:])
    shape = (len(names), len(files))
    if len(folders) != len(files) or presence.shape != shape or parts.shape != shape:
        raise ValueError(
            f'{path}: {len(files)} files, {len(folders)} folders and {len(names)} names do not fit '
            f'arrays of shape {presence.shape} and {parts.shape}, expected {shape}'
        )
    images = tuple(f'{folder}/{name}' for folder, name in zip(folders, files, strict=True))
    return ADEIndex(path, images, tuple(names), presence.astype(np.int64) - parts.astype(np.int64))


def shared_names(index: ADEIndex) -> list[str]:
    """Names of objects that occur, not as parts, in both training and validation images.

    Returns:
        The names by descending number of images; ties in the order of the index.
    """
    seen = index.whole > 0
    both = seen[:, index.validation].any(1) & seen[:, ~index.validation].any(1)
    count = dict.fromkeys(np.array(index.names, object)[both], 0)
    for name, images in zip(index.names, seen.sum(1), strict=True):
        if name in count:
            count[name] += int(images)
    return sorted(count, key=lambda name: -count[name])


def label_table(index: ADEIndex, classes: Sequence[str]) -> np.ndarray:
    """Look-up table from object value to label.

    Args:
        index: The index.
        classes: K names; objects of the same name become one class.

    Returns:
        uint16 of shape (C + 1); `IGNORE` for objects of no class and for 0 (unlabelled).

    Raises:
        ValueError: A class is not among the objects of the index.
    """
    label_of = {name: label for label, name in enumerate(classes)}
    lacking = [name for name in classes if name not in set(index.names)]
    if lacking:
        raise ValueError(f'{index.path} has no objects {lacking[:5]} ({len(lacking)} in all)')
    return np.array([IGNORE, *(label_of.get(name, IGNORE) for name in index.names)], np.uint16)


def object_values(colours: np.ndarray) -> np.ndarray:
    """Decode a ``_seg.png`` of the release.

    Args:
        colours: uint8 RGB of shape (H, W, 3).

    Returns:
        Object values R // 10 * 256 + G, int64 of shape (H, W); 0 is unlabelled.
    """
    colours = colours.astype(np.int64)
    return colours[..., 0] // 10 * 256 + colours[..., 1]


def convert_ade847(
    index: ADEIndex,
    classes: Sequence[str],
    out: str | Path,
    split: str = 'validation',
    progress: Callable[[Iterable], Iterable] = iter,
) -> int:
    """Write the label maps of a split and the vocabulary.

    Args:
        index: The index; its images are in the same folder.
        classes: The 847 names in label order.
        out: Folder for ``ade847.json`` and ``annotations_847/SPLIT/`` (16-bit png in the
            sub-folders of the images).
        split: 'validation' or 'training'.
        progress: Wraps the iteration over images.

    Returns:
        Number of label maps.

    Raises:
        FileNotFoundError: A ``_seg.png`` of the release is missing.
        ValueError: There are not 847 classes, a class is unknown, or a ``_seg.png`` does not match
            the index.
    """
    if len(classes) != NUM_CLASSES:
        raise ValueError(
            f'expected {NUM_CLASSES} classes, got {len(classes)}: pass the published list of names '
            'as --classes'
        )
    table, out = label_table(index, classes), Path(out)
    wanted = np.flatnonzero(index.validation == (split == 'validation'))
    for number in progress(wanted):
        image = index.images[number]
        source = _find(index, image.rsplit('.', 1)[0] + '_seg.png')
        values = object_values(np.asarray(_open_rgb(source)))
        _check(values, index, number, source)
        inner = Path(image).with_suffix('.png').as_posix().partition(f'/{split}/')[2]
        target = out / f'annotations_847/{split}' / (inner or Path(image).stem + '.png')
        with atomic_write(target) as part:
            Image.fromarray(table[values]).save(part, format='PNG')
    with atomic_write(out / CLASSES_NAME) as part:
        part.write_text(json.dumps(dict(classes=list(classes)), indent=1), encoding='utf-8')
    return len(wanted)


def _find(index: ADEIndex, name: str) -> Path:
    """Find a file of the release: paths in the index start at the parent of its folder."""
    paths = [index.path.parent / name, index.path.parent.parent / name]
    for path in paths:
        if path.is_file():
            return path
    raise FileNotFoundError(f'{paths[1]}: no such file, but {index.path} lists its image')


def _open_rgb(path: Path) -> Image.Image:
    image = decode_image(read_bytes(str(path)), str(path))
    if image.mode not in ('RGB', 'RGBA'):
        raise ImageReadError(str(path), f'expected objects in RGB, got mode {image.mode}')
    return image.convert('RGB')


def _check(values: np.ndarray, index: ADEIndex, number: int, path: Path) -> None:
    """Check that the objects of a file are those of the index: releases differ in the values."""
    found = [int(value) for value in np.unique(values) if value]
    if found and found[-1] > len(index.names):
        raise ValueError(
            f'{path}: found object {found[-1]}, but {index.path} has {len(index.names)} objects'
        )
    if found and not any(index.whole[value - 1, number] > 0 for value in found):
        names = [index.names[value - 1] for value in found[:3]]
        raise ValueError(f'{path}: its objects {names} are not in {index.path} for this image')
