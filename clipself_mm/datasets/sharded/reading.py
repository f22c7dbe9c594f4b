"""Pictures out of a tar shard in the order they stand there, by the `webdataset` library."""

from __future__ import annotations

import contextlib
import tarfile
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import ModuleType

IMAGE_SUFFIXES = ('jpg', 'jpeg', 'png', 'webp', 'bmp', 'tif', 'tiff')
"""Members of a sample that are its picture, the first that there is; lower case."""


@dataclass(frozen=True)
class ShardImage:
    """One sample of a shard.

    Attributes:
        key: What its members' names have in common, folders included.
        suffix: The rest of the picture's name, lower case.
        content: The encoded picture.
    """

    key: str
    suffix: str
    content: bytes


def webdataset_library() -> ModuleType:
    """The library, with the module that reads tar files.

    Raises:
        ImportError: It is not installed; says what to do.
    """
    try:
        import webdataset
        import webdataset.tariterators
    except ImportError as error:
        raise ImportError(
            'tar shards need the `webdataset` library: pip install "clipself_mm[wds]"'
        ) from error
    return webdataset


def shard_images(url: str, suffixes: Sequence[str] = IMAGE_SUFFIXES) -> Iterator[ShardImage]:
    """Stream the samples of a shard that have a picture.

    Members are grouped to samples as everywhere in WebDataset: by their names up to the first dot.

    Args:
        url: A local path or whatever `webdataset.gopen` opens, such as `pipe:aws s3 cp ... -`.
        suffixes: See `IMAGE_SUFFIXES`.

    Yields:
        The pictures in the order of the shard.

    Raises:
        ImportError: `webdataset` is not installed.
        FileNotFoundError: There is no such shard.
        ValueError: It is broken; names it.
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
        raise ValueError(f'{url}: no whole tar shard: {(error.args or [error])[0]}') from error
    finally:
        with contextlib.suppress(OSError):  # a command that is still sending ends with a complaint
            stream.close()


class ShardWindow:
    """A shard that is read forwards and remembers the last pictures it read.

    Asking within `window` places behind the farthest place so far costs nothing, asking farther
    ahead reads on, asking farther behind begins the shard once more.

    Args:
        url: See `shard_images`.
        count: Pictures it should have.
        window: How many are remembered.
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

    def __getitem__(self, place: int) -> ShardImage:
        """The picture at a place of the shard, from 0.

        Raises:
            IndexError: The place is not in 0 .. count - 1.
            ValueError: The shard has fewer pictures than `count`; names it.
        """
        if not 0 <= place < self.count:
            raise IndexError(f'{self.url}: place {place} of {self.count}')
        if place < self._next and place not in self._kept:
            self.close()
            self._open()
        while self._next <= place:
            picture = next(self._pictures, None)
            if picture is None:
                raise ValueError(
                    f'{self.url}: its index says {self.count} pictures, it has {self._next}; '
                    'make the index again: tools/make_shards.py --index FOLDER'
                )
            self._kept[self._next] = picture
            self._next += 1
            if len(self._kept) > self.window:
                self._kept.popitem(last=False)
        return self._kept[place]

    def close(self) -> None:
        """Close the shard and forget its pictures."""
        self._pictures.close()
        self._kept.clear()

    def _open(self) -> None:
        self.openings += 1
        self._pictures = shard_images(self.url, self.suffixes)
        self._kept: OrderedDict[int, ShardImage] = OrderedDict()
        self._next = 0
