"""Antialiased bicubic resizing of windows of an image on a device, as Pillow computes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from clipself_mm.datasets import RegionSample


def cut_windows(
    inputs: Mapping[str, Sequence[Tensor]], samples: Sequence[RegionSample]
) -> dict[str, Sequence[Tensor]]:
    """Cut and resize what a pipeline leaves to the device (backend `device`).

    Args:
        inputs: Of N samples of `PackRegions`, each a list, on the device.
        samples: With `img_shape` and, if there are `crop_windows`, `crop_size`.

    Returns:
        `inputs`; for `image_window`, `image` are the resized images, and for `crop_windows` there
        are `crops`, both float32 with whole numbers 0..255.
    """
    inputs = dict(inputs)
    sources = inputs['image']
    if 'crop_windows' in inputs:
        inputs['crops'] = [
            resize_windows(source, windows, sample.crop_size, sample.crop_size, centred=True)
            for source, windows, sample in zip(
                sources, inputs.pop('crop_windows'), samples, strict=True
            )
        ]
    if 'image_window' in inputs:
        inputs['image'] = [
            resize_windows(source, window, *sample.img_shape)[0]
            for source, window, sample in zip(
                sources, inputs.pop('image_window'), samples, strict=True
            )
        ]
    return inputs


def resize_windows(
    image: Tensor, windows: Tensor, height: int, width: int, centred: bool = False
) -> Tensor:
    """Cut windows out of an image, resize each to its own size and stand it on a black canvas.

    Pillow's filter: two passes, columns first, each rounded to 8 bit. A pass is a product of
    matrices, one call for all windows, so no size depends on a value: nothing waits for the device.

    Args:
        image: uint8 of shape (C, H, W).
        windows: int of shape (R, 6): x0, y0, x1, y1 in pixels of the image, and the height and
            width in pixels that the window is resized to.
        height: Height of the canvas in pixels.
        width: Width of the canvas in pixels.
        centred: Whether a window stands in the middle of its canvas (an odd pixel of padding is
            to the right or below); by default at the top left.

    Returns:
        float32 of shape (R, C, height, width), whole numbers 0..255.
    """
    x0, y0, x1, y1, new_height, new_width = windows.double().unbind(1)
    # Mixed precision, which the meta device lacks, would round the filter.
    with torch.autocast('cpu' if image.is_meta else image.device.type, enabled=False):
        columns = filter_matrix(x0, x1, new_width, width, image.shape[2], centred)
        rows = filter_matrix(y0, y1, new_height, height, image.shape[1], centred)
        narrow = image.float() @ columns.flatten(0, 1).T  # (C, H, R * width), no copy per window
        narrow = _whole(narrow).unflatten(-1, (-1, width)).permute(2, 0, 1, 3)
        return _whole(rows[:, None] @ narrow)


def filter_matrix(
    start: Tensor, end: Tensor, size: Tensor, canvas: int, length: int, centred: bool
) -> Tensor:
    """Weights of the pixels of an axis for each pixel of the canvas.

    Args:
        start: First pixel of each window, float64 of shape (R).
        end: One after its last pixel, likewise.
        size: Pixels that it is resized to, likewise.
        canvas: Pixels of the canvas.
        length: Pixels of the image.
        centred: See `resize_windows`.

    Returns:
        float32 of shape (R, canvas, length); rows sum to 1, those outside of the window to 0.
    """
    start, end, size = (item[:, None, None] for item in (start, end, size))
    first = ((canvas - size) / 2).floor() if centred else torch.zeros_like(size)
    target = torch.arange(canvas, device=size.device)[None, :, None] - first
    source = torch.arange(length, device=size.device)[None, None] - start
    scale = (end - start) / size
    distance = (source + 0.5 - (target + 0.5) * scale) / scale.clamp(min=1)
    weights = bicubic(distance.abs()) * ((source >= 0) & (source < end - start))
    weights = weights / weights.sum(dim=-1, keepdim=True).clamp(min=1e-9)
    return (weights * ((target >= 0) & (target < size))).float()


def bicubic(distance: Tensor) -> Tensor:
    """Pillow's cubic filter (Keys, a = -0.5) at absolute distances; 0 from 2 on."""
    near = (1.5 * distance - 2.5) * distance**2 + 1
    far = ((-0.5 * distance + 2.5) * distance - 4) * distance + 2
    return torch.where(distance < 1, near, torch.where(distance < 2, far, 0.0))


def _whole(values: Tensor) -> Tensor:
    return values.add(0.5).floor().clamp(0, 255)
