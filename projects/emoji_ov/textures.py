"""Procedural textures of the six stuff classes."""

from __future__ import annotations

import cv2
import numpy as np

from clipself_mm.shapes.textures import Texture


def _fractal(rng: np.random.Generator, size: int, power: float, stretch: float = 1) -> np.ndarray:
    """Noise with a spectrum of 1 / frequency ** power: (size, size), mean 0, deviation 1.

    Frequencies are relative to images of 256 px. `stretch` makes it longer along x.
    """
    y, x = np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None]
    frequency = np.hypot(y, stretch * x)
    frequency[0, 0] = 1
    spectrum = np.fft.rfft2(rng.standard_normal((size, size))) / frequency**power
    spectrum[0, 0] = 0
    noise = np.fft.irfft2(spectrum, (size, size))
    return (noise / noise.std()).astype(np.float32)


def _blend(value: np.ndarray, *colours: tuple[int, int, int]) -> np.ndarray:
    """Interpolate colours linearly at values of 0 to 1: float32 (size, size, 3)."""
    stops = np.linspace(0, 1, len(colours))
    channels = [np.interp(value, stops, channel) for channel in zip(*colours, strict=True)]
    return np.stack(channels, axis=-1).astype(np.float32)


def _clouds(rng: np.random.Generator, size: int) -> np.ndarray:
    cover = 0.5 + 0.28 * _fractal(rng, size, 1.7, 0.7) + rng.uniform(-0.08, 0.08)
    return _blend(cover, (96, 156, 226), (136, 184, 234), (240, 244, 250), (252, 252, 252))


def _leaves(rng: np.random.Generator, size: int) -> np.ndarray:
    """Ellipses of all greens in all directions over a dark ground."""
    image = np.full((size, size, 3), (26, 52, 22), np.float32)
    length = rng.uniform(9, 13)
    count = round(3.2 * (size / length) ** 2)
    centres, angles = rng.uniform(0, size, (count, 2)), rng.uniform(0, 360, count)
    tones = rng.uniform(0, 1, count)
    colours = _blend(tones, (40, 92, 34), (74, 140, 48), (146, 184, 70))
    for centre, angle, colour in zip(centres, angles, colours, strict=True):
        shape = (centre.tolist(), (length, 0.42 * length), float(angle))
        cv2.ellipse(image, shape, colour.tolist(), cv2.FILLED)
    return image


def _fabric(rng: np.random.Generator, size: int) -> np.ndarray:
    """A plain weave: the threads of two directions lie on top by turns."""
    axis = np.arange(size, dtype=np.float32) / rng.uniform(4.5, 6.5)
    across, down = axis[None, :], axis[:, None]
    over = (np.floor(across) + np.floor(down)) % 2
    light = np.where(over, np.sin(np.pi * (across % 1)), np.sin(np.pi * (down % 1)))
    threads = np.array([(178, 78, 112), (206, 132, 150)], np.float32)[over.astype(int)]
    return threads * (0.62 + 0.42 * light + 0.03 * _fractal(rng, size, 1))[..., None]


def _marble(rng: np.random.Generator, size: int) -> np.ndarray:
    """White stone whose dark veins are the zeros of noise."""
    veins = np.exp(-9 * np.abs(_fractal(rng, size, 1.7)))
    fine = np.exp(-14 * np.abs(_fractal(rng, size, 1.5)))
    tone = 0.12 * _fractal(rng, size, 1.8) + 0.75 * veins + 0.35 * fine
    return _blend(tone, (242, 238, 232), (186, 182, 184), (104, 104, 114))


def _lava(rng: np.random.Generator, size: int) -> np.ndarray:
    """Black crust with glowing cracks."""
    heat = np.exp(-3.2 * np.abs(_fractal(rng, size, 1.5))) + 0.06 * _fractal(rng, size, 0.7)
    return _blend(heat, (30, 18, 20), (104, 24, 14), (226, 72, 14), (255, 206, 76))


def _night_sky(rng: np.random.Generator, size: int) -> np.ndarray:
    """Dark blue with stars of different brightness."""
    image = _blend(0.5 + 0.3 * _fractal(rng, size, 1.8), (8, 10, 34), (22, 26, 74), (52, 40, 104))
    stars = np.zeros((size, size), np.float32)
    x, y = rng.integers(size, size=(2, size * size // 90))
    stars[y, x] = rng.uniform(0.2, 1, len(x)) ** 2
    light = np.clip(stars + 2.2 * cv2.GaussianBlur(stars, (0, 0), 0.8), 0, 1)
    return image + light[..., None] * (250 - image)


TEXTURES: dict[str, Texture] = {
    'clouds': _clouds,
    'leaves': _leaves,
    'fabric': _fabric,
    'marble': _marble,
    'lava': _lava,
    'night sky': _night_sky,
}
"""Stuff class to a function (generator, size) that returns float32 RGB (size, size, 3), 0-255."""
