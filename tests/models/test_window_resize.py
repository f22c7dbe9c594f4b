"""Windows resized on the device are Pillow's pixels, and nothing is asked of the device for it."""

import numpy as np
import pytest
import torch
from PIL import Image

from clipself_mm.datasets.transforms.crop_regions import crop_regions
from clipself_mm.datasets.transforms.resize_backends import longest_side_size, window_rows
from clipself_mm.models import resize_windows


def photo(height, width, seed=0):
    """Smooth noise with hard edges."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), np.uint8)
    pixels = np.array(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))
    pixels[height // 3 : height // 2, width // 4 : width // 2] = 255
    pixels[height // 2 :, : width // 5] = 0
    return pixels


def on_device(pixels, corners, size, *canvas, **options):
    rows = torch.from_numpy(window_rows(corners, size))
    return resize_windows(torch.from_numpy(pixels).permute(2, 0, 1), rows, *canvas, **options)


def assert_nearly(found, expected):
    apart = np.abs(found.numpy() - expected)
    assert apart.max() <= 1  # a sum that is half a level in one arithmetic and not in the other
    assert (apart > 0).mean() < 1e-3


def test_crops_are_pillows():
    pixels = photo(97, 143)
    # None more than twice as high as wide: there Pillow 13 begins with the rows.
    corners = [
        *((0, 0, 143, 97), (3, 5, 35, 61), (100, 90, 143, 97), (7, 7, 8, 8), (10, 20, 74, 52)),
        *((60, 2, 64, 3), (0, 50, 33, 51)),
    ]
    found = on_device(pixels, corners, 32, 32, 32, centred=True)
    assert_nearly(found, crop_regions(pixels, np.array(corners, float), 32))


@pytest.mark.parametrize(('height', 'width', 'size'), [(61, 90, 128), (200, 150, 64), (40, 40, 40)])
def test_a_whole_image_is_pillows(height, width, size):
    pixels = photo(height, width)
    new = longest_side_size(height, width, size)
    (found,) = on_device(pixels, [(0, 0, width, height)], size, size, size)
    expected = Image.fromarray(pixels).resize(new[::-1], Image.Resampling.BICUBIC)
    assert_nearly(found[:, : new[0], : new[1]], np.array(expected).transpose(2, 0, 1))
    assert not found[:, new[0] :].any()
    assert not found[:, :, new[1] :].any()


def test_mixed_precision_changes_no_pixel():
    pixels, corners = photo(50, 60), [(0, 0, 31, 17)]
    plain = on_device(pixels, corners, 24, 24, 24)
    with torch.autocast('cpu', torch.bfloat16):
        assert torch.equal(on_device(pixels, corners, 24, 24, 24), plain)


def test_no_window_is_no_crop():
    assert on_device(photo(20, 20), [], 16, 16, 16).shape == (0, 3, 16, 16)
