"""Sequential reading of the images of a tar shard, with the `webdataset` library."""

from __future__ import annotations

import contextlib
import tarfile
from collections import OrderedDict
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from types import ModuleType

IMAGE_SUFFIXES = ('jpg', 'jpeg', 'png', 'webp', 'bmp', 'tif', 'tiff')
"""Suffixes of the image among the members of a sample, lower case; the first present is used."""


@dataclass(frozen=True)
class ShardImage:
    """The image of one sample of a shard.

    Attributes:
        key: Common part of the names of the sample's members, with folders.
        suffix: Rest of the image's name, lower case.
        content: The encoded image.
    """

    key: str
    suffix: str
    content: bytes


def webdataset_library() -> ModuleType:
    """Import `webdataset`; the ImportError says how to install it."""
    try:
        import webdataset
        import webdataset.tariterators
    except ImportError as error:
        raise ImportError(
            'tar shards need the `webdataset` library: pip install "clipself_mm[wds]"'
        ) from error
    return webdataset


def shard_images(
    url: str, suffixes: Sequence[str] = IMAGE_SUFFIXES
) -> Generator[ShardImage, None, None]:
    """Stream the samples of a shard that have an image.

    Members with the same name up to the first dot are one sample (WebDataset's convention).

    Args:
        url: A local path or anything that `webdataset.gopen` opens, such as `pipe:aws s3 cp ... -`.
        suffixes: See `IMAGE_SUFFIXES`.

    Yields:
        The images in the order of the shard.

    Raises:
        FileNotFoundError: The shard does not exist.
        ValueError: It is broken.
    """
    library = webdataset_library()
    stream = library.gopen(url)
    try:
        files = library.tariterators.tar_file_expander([dict(url=url, stream=stream)])
        for sample in library.tariterators.group_by_keys(files):
            suffix = next((suffix for suffix in suffixes if suffix in sample), None)
            if suffix is not None:
                yield ShardImage(sample['__key__'], suffix, sample[suffix])
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise ValueError(f'{url}: broken tar shard: {(error.args or [error])[0]}') from error
    finally:
        with contextlib.suppress(OSError):  # raised if a command is still writing
            stream.close()


class ShardWindow:
    """A shard that is read sequentially and keeps its last images in memory.

    The last `window` images are kept in memory. Reading an earlier image reopens the shard.

    Args:
        url: See `shard_images`.
        count: Number of images according to the index.
        window: Number of images kept in memory.
        suffixes: See `shard_images`.
    """

    def __init__(
        self, url: str, count: int, window: int, suffixes: Sequence[str] = IMAGE_SUFFIXES
    ) -> None:
        self.url = url
        self.count = count
        self.window = window
        self.suffixes = tuple(suffixes)
        self.openings = 0
        self._open()

    def __getitem__(self, position: int) -> ShardImage:
        """The image at a position of the shard, from 0.

        Raises:
            ValueError: The shard has fewer images than `count`.
        """
        if not 0 <= position < self.count:
            raise IndexError(f'{self.url}: position {position} of {self.count}')
        if position < self._next and position not in self._kept:
            self.close()
            self._open()
        while self._next <= position:
            image = next(self._images, None)
            if image is None:
                raise ValueError(
                    f'{self.url}: expected {self.count} images according to the index, found '
                    f'{self._next}; write the index again: tools/make_shards.py --index FOLDER'
                )
            self._kept[self._next] = image
            self._next += 1
            if len(self._kept) > self.window:
                self._kept.popitem(last=False)
        return self._kept[position]

    def close(self) -> None:
        """Close the shard and free its images."""
        self._images.close()
        self._kept.clear()

    def _open(self) -> None:
        self.openings += 1
        self._images = shard_images(self.url, self.suffixes)
        self._kept: OrderedDict[int, ShardImage] = OrderedDict()
        self._next = 0
