"""Where the images to label come from: a folder, a list file, or tar shards."""

from __future__ import annotations

import hashlib
import json
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from clipself_mm.datasets import ShardedImages
from clipself_mm.datasets.annotations.image_listing import read_listing, scan_images
from clipself_mm.datasets.input_images import FOLDER_EXTENSIONS
from clipself_mm.datasets.sharded.index import INDEX_NAME


@dataclass(frozen=True)
class ListedImage:
    """One image, not decoded.

    Attributes:
        name: Path below the folder, path of the list, or shard and key.
        path: What is read, for errors.
        content: The encoded image of a shard; None for a file.
    """

    name: str
    path: str
    content: bytes | None = None


class ImageSource(ABC):
    """N images in a fixed order.

    Attributes:
        path: What was given.
        root: Folder of the names; None if the images are not files.
    """

    path: str
    root: str | None = None

    @abstractmethod
    def __len__(self) -> int:
        """Number of images."""

    @abstractmethod
    def __getitem__(self, index: int) -> ListedImage:
        """One image; files are not read here."""

    @abstractmethod
    def names(self) -> Iterable[str]:
        """What tells the collection from another: the names of its files, in order."""

    def fingerprint(self) -> dict[str, object]:
        """Path, number of images and a digest of the names."""
        digest = hashlib.sha256()
        for name in self.names():
            digest.update(name.encode('utf-8', 'surrogateescape') + b'\n')
        path = os.path.abspath(self.path)
        return dict(path=path, images=len(self), sha256_of_names=digest.hexdigest())


class ImageFiles(ImageSource):
    """Image files.

    Args:
        path: What was given.
        root: Folder of the names.
        names: Paths relative to it.
    """

    def __init__(self, path: str, root: str, names: Sequence[str]) -> None:
        self.path = path
        self.root: str = root
        self._names = names

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, index: int) -> ListedImage:
        name = self._names[index]
        return ListedImage(name, name if '://' in name else os.path.join(self.root, name))

    def names(self) -> Iterable[str]:
        """The paths."""
        return self._names


class ShardFiles(ImageSource):
    """Images of tar shards.

    Args:
        path: What was given.
        index: Index of the shards.
    """

    def __init__(self, path: str, index: str) -> None:
        self.path = path
        self._images = ShardedImages(index, pipeline=[], window=1)

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> ListedImage:
        info = self._images.get_data_info(index)
        return ListedImage(info['img_path'], info['img_path'], info['img_bytes'])

    def names(self) -> Iterable[str]:
        """Each shard's name with its number of images; no shard is opened."""
        shards = self._images.load_data_list()
        for shard, count in zip(shards, self._images.counts, strict=True):
            yield json.dumps([shard['file'], int(count)])


def open_source(path: str, root: str = '.', leave_out: str = '') -> ImageSource:
    """Find the images of a folder, a list file or shards; no image is opened.

    Args:
        path: Folder of images and sub-folders; folder of shards with their ``index.json``, or that
            file; else a text file with one path per line.
        root: Root of the paths of a list file.
        leave_out: A folder that is not searched: that of the results.

    Raises:
        FileNotFoundError: There is no such folder or file.
        ValueError: It has no image, or is broken.
    """
    index = os.path.join(path, INDEX_NAME)
    if path.lower().endswith('.json'):
        return ShardFiles(path, path)
    if not os.path.isdir(path):
        if not os.path.exists(path):
            raise FileNotFoundError(f'{path}: no such file or folder')
        return ImageFiles(path, root, list(dict.fromkeys(read_listing(path))))
    if next(Path(path).glob('*.tar'), None):
        if not os.path.isfile(index):
            raise FileNotFoundError(
                f'{path}: has shards *.tar, but no {INDEX_NAME}: write it with '
                f'tools/make_shards.py --index {path}'
            )
        return ShardFiles(path, index)
    names = scan_images(path, FOLDER_EXTENSIONS)
    if leave_out:
        results = f'{os.path.relpath(leave_out, path)}/'
        names = [name for name in names if not name.startswith(results)]
    if not names:
        raise ValueError(f'{path}: has no images but those in {leave_out}')
    return ImageFiles(path, path, names)
