"""Sequential reading of the images of a tar shard, with the `webdataset` library."""

from __future__ import annotations

import contextlib
import tarfile
from collections import OrderedDict
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from types import ModuleType
from typing import IO, Any

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
    except ImportError as error:
        raise ImportError(
            'tar shards need the `webdataset` library: pip install "clipself_mm[wds]"'
        ) from error
    return webdataset


def shard_images(
    url: str, suffixes: Sequence[str] = IMAGE_SUFFIXES, left_out: list[str] | None = None
) -> Generator[ShardImage, None, None]:
    """Stream the images of a shard.

    Consecutive members with the same name up to the first dot are one sample (WebDataset's
    convention), and `0.seg.png` belongs to the image `0.jpg`. Names may have dots too: in a sample
    without a member such as `scan.jpg` every image (`scan.v1.jpg`, `scan.v2.jpg`) is one of its
    own. Files whose name starts with `._` are no images (macOS writes them).

    Args:
        url: A local path or anything that `webdataset.gopen` opens, such as `pipe:aws s3 cp ... -`.
        suffixes: See `IMAGE_SUFFIXES`.
        left_out: Gets a text for each member that ends like an image and is none of the images.

    Yields:
        The images in the order of the shard.

    Raises:
        FileNotFoundError: The shard does not exist.
        ValueError: It is broken.
    """
    stream = webdataset_library().gopen(url)
    suffixes = [suffix.lower() for suffix in suffixes]
    keys: set[str] = set()
    left_out = [] if left_out is None else left_out
    try:
        for sample, group in groupby(
            _members(stream, suffixes, left_out), lambda member: member.key
        ):
            for image in _images_of_sample(sample, list(group), suffixes, sample in keys, left_out):
                if image.key in keys:
                    left_out.append(f'{image.key}.{image.suffix} (a second image {image.key})')
                else:
                    keys.add(image.key)
                    yield image
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise ValueError(f'{url}: broken tar shard: {(error.args or [error])[0]}') from error
    finally:
        with contextlib.suppress(OSError):  # raised if a command is still writing
            stream.close()


def _members(
    stream: IO[bytes], suffixes: Sequence[str], left_out: list[str]
) -> Iterator[ShardImage]:
    """The members that end like an image, split at the first dot of the file name."""
    endings = tuple(f'.{suffix}' for suffix in suffixes)
    with tarfile.open(fileobj=stream, mode='r|*', tarinfo=_Header) as archive:
        for member in archive:
            vars(archive)['members'] = []  # else it keeps all headers in memory
            if member.issparse():  # a few bytes stand for any number of zeros
                raise tarfile.ReadError(f'{member.name} is a sparse file, pack it as a plain one')
            folder, slash, file = member.name.rpartition('/')
            start, _, rest = file.partition('.')
            if member.isdir() or file.startswith('._') or not file.lower().endswith(endings):
                continue
            content = archive.extractfile(member) if member.isreg() else None
            if start and content is not None:
                yield ShardImage(f'{folder}{slash}{start}', rest, content.read())
            else:
                left_out.append(f'{member.name} ({"a link" if start else "a hidden file"})')
        stream = archive.fileobj  # type: ignore[assignment]
        while more := stream.read(tarfile.RECORDSIZE):
            if any(more):
                raise tarfile.ReadError('more follows after its end; pack its parts into one tar')


class _Header(tarfile.TarInfo):
    """A header of a tar; a broken one is an error, where `tarfile` takes it for the end."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str | None, errors: str) -> Any:  # noqa: ANN401
        """Parse a header."""
        try:
            return super().frombuf(buf, encoding, errors)  # type: ignore[arg-type]
        except tarfile.HeaderError as error:
            if buf and not any(buf):  # the end
                raise
            raise tarfile.ReadError(f'it is cut off or damaged: {error}') from error


def _images_of_sample(
    sample: str,
    members: Sequence[ShardImage],
    suffixes: Sequence[str],
    continued: bool,
    left_out: list[str],
) -> Iterator[ShardImage]:
    """The image with exactly one of the suffixes, else all; the names are split at the suffix."""
    ranks = [
        suffixes.index(member.suffix.lower())
        for member in members
        if member.suffix.lower() in suffixes
    ]
    for member in members:
        rest = member.suffix.lower()
        if ranks and rest == suffixes[min(ranks)]:
            yield ShardImage(sample, rest, member.content)
        elif ranks or continued:
            left_out.append(f'{sample}.{member.suffix} (belongs to the image {sample})')
        else:
            suffix = next(suffix for suffix in suffixes if rest.endswith(f'.{suffix}'))
            start = member.suffix[: -len(suffix) - 1]
            yield ShardImage(f'{sample}.{start}', suffix, member.content)


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
            if self._next == self.count and next(self._images, None) is not None:
                raise ValueError(
                    f'{self.url}: expected {self.count} images according to the index, found more; '
                    'write the index again: tools/make_shards.py --index FOLDER'
                )
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
