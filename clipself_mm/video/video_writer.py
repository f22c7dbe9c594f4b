"""Writes frames as an MP4 file."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from .pyav import import_av

CODECS = ('libx264', 'mpeg4')
"""Encoders, the wanted one first: H.264, which browsers play; MPEG-4 Part 2 without it."""
TICKS = 60_000
"""Time steps per second: those of 24, 25, 30, 50, 60 and 29.97 frames per second are whole."""


class VideoWriter:
    """An MP4 file that keeps the time of each frame, so a variable frame rate too.

    Args:
        path: Output file.
        rate: Average frames per second.

    Attributes:
        codec: The encoder.
    """

    def __init__(self, path: str | Path, rate: Fraction) -> None:
        self._av = import_av()
        self.codec = next(name for name in CODECS if name in self._av.codecs_available)
        self._rate = rate
        self._container: Any = self._av.open(str(path), 'w', format='mp4')
        self._stream: Any = None
        self._last = -1

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None and self._stream is not None:
            self._container.mux(self._stream.encode(None))
        self._container.close()

    def write(self, pixels: np.ndarray, time: Fraction) -> None:
        """Add a frame.

        Args:
            pixels: RGB, uint8 of shape (H, W, 3). H.264 has even sides only: the last row or column
                is doubled if need be.
            time: Seconds since the first frame. One that is not later than the frame before becomes
                the next time step.
        """
        height, width = pixels.shape[:2]
        pixels = np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), 'edge')
        if self._stream is None:
            self._stream = self._container.add_stream(self.codec, rate=self._rate)
            self._stream.height, self._stream.width = pixels.shape[:2]
            self._stream.pix_fmt = 'yuv420p'
            self._stream.codec_context.time_base = Fraction(1, TICKS)
        frame = self._av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format='rgb24')
        self._last = max(round(time * TICKS), self._last + 1)
        frame.pts, frame.time_base = self._last, Fraction(1, TICKS)
        self._container.mux(self._stream.encode(frame))
