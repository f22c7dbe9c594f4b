"""From the full ADE20K release (2021_17_01) to label maps of its 847 classes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from clipself_mm.datasets import ImageReadError
from clipself_mm.datasets.transforms.load_rgb import decode_image, read_bytes
from clipself_mm.io.atomic_write import atomic_write
from clipself_mm.io.safe_pickle import ARRAYS, SCALARS, load_pickle
from clipself_mm.segmentation.ade847_dataset import IGNORE, NUM_CLASSES

_KEYS = ('filename', 'folder', 'objectnames', 'objectPresence', 'objectIsPart')
CLASSES_NAME = 'ade847.json'


@dataclass(frozen=True)
class ADEIndex:
    """What ``index_ade20k.pkl`` says.

    Attributes:
        path: The file.
        images: Path of each of the N images as the release writes it, folder and name.
        names: Name of each of the C objects; in the pictures object c has the value c + 1.
        whole: How often each is in each image other than as a part, integers of shape (C, N).
    """

    path: Path
    images: tuple[str, ...]
    names: tuple[str, ...]
    whole: np.ndarray

    @property
    def validation(self) -> np.ndarray:
        """Which images are of the validation set, booleans of shape (N)."""
        return np.array([Path(image).name.startswith('ADE_val_') for image in self.images])


def read_index(path: str | Path) -> ADEIndex:
    """Read the index of the release.

    Args:
        path: ``ADE20K_2021_17_01/index_ade20k.pkl``.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is broken, asks for something to run, or is another file; names it.
    """
    path = Path(path)
    content = load_pickle(path, {**ARRAYS, **SCALARS}, 'index_ade20k.pkl of ADE20K')
    if not isinstance(content, dict) or not set(_KEYS) <= content.keys():
        found = sorted(content) if isinstance(content, dict) else type(content).__name__
        raise ValueError(f'{path}: expected a dict with {list(_KEYS)}, got {found}')
    files, folders, names = (list(content[key]) for key in _KEYS[:3])
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
    """Names of objects that both training and validation images show other than as parts.

    Returns:
        The names, the one of most images first; of equally frequent ones the earlier.
    """
    seen = index.whole > 0
    both = seen[:, index.validation].any(1) & seen[:, ~index.validation].any(1)
    count = dict.fromkeys(np.array(index.names, object)[both], 0)
    for name, images in zip(index.names, seen.sum(1), strict=True):
        if name in count:
            count[name] += int(images)
    return sorted(count, key=lambda name: -count[name])


def label_table(index: ADEIndex, classes: Sequence[str]) -> np.ndarray:
    """Label of every value that a picture of the release may have.

    Args:
        index: The index.
        classes: K names; objects of one name become one class.

    Returns:
        uint16 of shape (C + 1); `IGNORE` for what is of no class and for value 0, unlabelled.

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
        Object values R // 10 * 256 + G, 0 where nothing is labelled, int64 of shape (H, W).
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
        index: The index; its images lie beside it.
        classes: The 847 names in the order of their labels.
        out: Folder for ``ade847.json`` and ``annotations_847/SPLIT/``, there in the sub-folders of
            the images, 16-bit png.
        split: 'validation' or 'training'.
        progress: Wraps the loop.

    Returns:
        How many label maps were written.

    Raises:
        FileNotFoundError: A picture of the release is missing.
        ValueError: There are not 847 classes, one is unknown, or a picture disagrees with the
            index.
    """
    if len(classes) != NUM_CLASSES:
        raise ValueError(
            f'expected {NUM_CLASSES} classes, got {len(classes)}: give the published list of names '
            'by --classes'
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
    """The index writes folders from the release's own folder on, which it lies in itself."""
    places = [index.path.parent / name, index.path.parent.parent / name]
    for place in places:
        if place.is_file():
            return place
    raise FileNotFoundError(f'{places[1]}: no such file, though {index.path} lists its image')


def _open_rgb(path: Path) -> Image.Image:
    image = decode_image(read_bytes(str(path)), str(path))
    if image.mode not in ('RGB', 'RGBA'):
        raise ImageReadError(str(path), f'expected objects in RGB, got mode {image.mode}')
    return image.convert('RGB')


def _check(values: np.ndarray, index: ADEIndex, number: int, path: Path) -> None:
    """A picture whose objects are none of the index's is of another release."""
    shown = [int(value) for value in np.unique(values) if value]
    if shown and shown[-1] > len(index.names):
        raise ValueError(f'{path}: object {shown[-1]}, {index.path} names {len(index.names)}')
    if shown and not any(index.whole[value - 1, number] > 0 for value in shown):
        named = [index.names[value - 1] for value in shown[:3]]
        raise ValueError(f'{path} shows {named}, of which {index.path} knows nothing there')
