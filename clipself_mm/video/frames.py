"""Frames of a video file with their times, upright; what cannot be read is counted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from .pyav import import_av

_NO_VIDEO = ('image2', 'tty')
"""Formats in which FFmpeg also reads images and plain text."""

TOLERANCE = 1
"""Seconds by which the sound may be longer than the images."""


class VideoReadError(RuntimeError):
    """A file is no video, or a frame of it cannot be used."""


@dataclass(frozen=True, eq=False)
class Frame:
    """One frame.

    Attributes:
        pixels: BGR, uint8 of shape (H, W, 3), turned as the file says (phones).
        time: Seconds since the first frame.
    """

    pixels: np.ndarray
    time: Fraction


def _is_cover(stream: Any) -> bool:  # noqa: ANN401
    """Whether a stream is a still picture about a file, as the cover of a song."""
    return bool(stream.disposition & type(stream.disposition).attached_pic)


class VideoFrames:
    """The frames of a file, in one pass.

    Args:
        path: Video file of any format that FFmpeg reads.

    Attributes:
        rate: Average frames per second, as the file says.
        expected: Number of frames, as the file says; 0 if it does not.
        length: Seconds, as the file says; 0 if it does not.
        read: Number of frames given so far.
        broken: Number of packets that could not be decoded, and of frames decoded with errors.

    Raises:
        VideoReadError: It is missing, or no video.
        ImportError: PyAV is not installed.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = str(path)
        self._av = import_av()
        try:
            self._container: Any = self._av.open(self.path)
        except (self._av.FFmpegError, OSError) as error:
            why = getattr(error, 'strerror', None) or error
            raise VideoReadError(f'{path}: cannot be opened as a video: {why}') from error
        kind = self._container.format.name
        streams = [s for s in self._container.streams.video if not _is_cover(s)]
        if not streams or kind in _NO_VIDEO or kind.endswith('_pipe'):
            raise VideoReadError(f'{path}: is no video, its format is {kind!r}')
        self._stream = streams[0]
        self._stream.thread_type = 'AUTO'
        self.rate = Fraction(self._stream.average_rate or self._stream.guessed_rate or 25)
        self.expected = self._stream.frames
        self.length = Fraction(self._container.duration or 0, self._av.time_base)
        self.read = self.broken = 0
        self._end = Fraction(0)

    def __iter__(self) -> Iterator[Frame]:
        """Decode frame by frame.

        Raises:
            VideoReadError: There is no frame, or a frame has another size than the first.
        """
        first: Fraction | None = None
        shape, time = None, -1 / self.rate
        for given in self._decode():
            pixels = np.ascontiguousarray(
                np.rot90(given.to_ndarray(format='bgr24'), round(given.rotation / 90))
            )
            shape = shape or pixels.shape
            if pixels.shape != shape:
                raise VideoReadError(
                    f'{self.path}: frame {self.read} has {pixels.shape[1]} x {pixels.shape[0]} '
                    f'pixels, the first has {shape[1]} x {shape[0]}'
                )
            if given.pts is None:
                time += 1 / self.rate
            else:
                stamp = given.pts * given.time_base
                first = stamp if first is None else first
                time = stamp - first
            self.read, self._end = self.read + 1, time + 1 / self.rate
            self.broken += given.is_corrupt
            yield Frame(pixels, time)
        if not self.read:
            raise VideoReadError(f'{self.path}: has no frame that can be decoded')

    def _decode(self) -> Iterator[Any]:
        packets = self._container.demux(self._stream)
        while True:
            try:
                frames = next(packets).decode()
            except StopIteration:
                return
            except EOFError:  # the decoder is empty
                continue
            except self._av.FFmpegError:
                self.broken += 1
                continue
            yield from frames

    def complaint(self) -> str:
        """What was not read, once all frames were given; '' if nothing is known to lack."""
        said = []
        if self.broken:
            said.append(f'{self.broken} broken frames or packets')
        if self.read < self.expected:
            said.append(f'{self.read} of {self.expected} frames could be read')
        elif not self.expected and self._end + TOLERANCE < self.length:
            end, length = float(self._end), float(self.length)
            said.append(f'it ends after {end:.1f} s, and should have {length:.1f} s')
        return ', '.join(said)

    def close(self) -> None:
        """Close the file."""
        self._container.close()
