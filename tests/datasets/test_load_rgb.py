import io
import zlib

import numpy as np
import pytest
from PIL import Image

from clipself_mm.datasets import ImageReadError, LoadRGB
from tests.datasets.coco_files import photo

ORIENTATION = 0x0112


def load(path, **results):
    return LoadRGB()(dict(img_path=str(path), **results))['img']


def test_rgb_is_unchanged(tmp_path):
    image = photo(5, 3)
    image.save(tmp_path / 'a.png')
    results = LoadRGB()(dict(img_path=str(tmp_path / 'a.png')))
    np.testing.assert_array_equal(results['img'], np.asarray(image))
    assert results['img'].dtype == np.uint8
    assert results['ori_shape'] == (3, 5)


def test_gray_is_repeated(tmp_path):
    Image.fromarray(np.array([[0, 128, 255]], np.uint8)).save(tmp_path / 'a.png')
    assert load(tmp_path / 'a.png').tolist() == [[[0] * 3, [128] * 3, [255] * 3]]


def test_one_bit(tmp_path):
    Image.fromarray(np.array([[0, 255]], np.uint8)).convert('1').save(tmp_path / 'a.png')
    assert load(tmp_path / 'a.png').tolist() == [[[0] * 3, [255] * 3]]


def test_alpha_is_dropped(tmp_path):
    pixels = np.array([[[10, 20, 30, 0], [40, 50, 60, 128]]], np.uint8)
    Image.fromarray(pixels, 'RGBA').save(tmp_path / 'a.png')
    assert load(tmp_path / 'a.png').tolist() == [[[10, 20, 30], [40, 50, 60]]]
    Image.fromarray(np.array([[[7, 0]]], np.uint8), 'LA').save(tmp_path / 'b.png')
    assert load(tmp_path / 'b.png').tolist() == [[[7, 7, 7]]]


@pytest.mark.filterwarnings('error')
def test_palette_with_and_without_transparency(tmp_path):
    image = Image.new('P', (2, 1))
    image.putpalette([1, 2, 3, 200, 100, 50])
    image.putdata([0, 1])
    image.save(tmp_path / 'a.png')
    image.save(tmp_path / 'b.png', transparency=bytes([0, 255]))
    expected = [[[1, 2, 3], [200, 100, 50]]]
    assert load(tmp_path / 'a.png').tolist() == expected
    assert load(tmp_path / 'b.png').tolist() == expected


def test_cmyk(tmp_path):
    # C M Y K in 0..255: no ink is white, full black ink is black, full cyan leaves no red.
    for ink, rgb in (
        ((0, 0, 0, 0), (255, 255, 255)),
        ((0, 0, 0, 255), (0, 0, 0)),
        ((255, 0, 0, 0), (0, 255, 255)),
    ):
        Image.new('CMYK', (8, 8), ink).save(tmp_path / 'a.jpg', quality=100)
        difference = load(tmp_path / 'a.jpg').astype(int) - np.array(rgb)
        assert np.abs(difference).max() <= 2


def test_16_bit_gray_keeps_black_and_white(tmp_path):
    values = np.array([[0, 257 * 77, 65535]], np.uint16)
    Image.fromarray(values).save(tmp_path / 'a.png')
    assert load(tmp_path / 'a.png')[0, :, 0].tolist() == [0, 77, 255]
    Image.fromarray(values).save(tmp_path / 'a.tif')
    assert load(tmp_path / 'a.tif')[0, :, 0].tolist() == [0, 77, 255]


def test_floats_and_wide_integers_raise(tmp_path):
    Image.fromarray(np.ones((2, 2), np.float32)).save(tmp_path / 'a.tif')
    with pytest.raises(ImageReadError, match=r'a\.tif.*\b8\b.*\b16\b'):
        load(tmp_path / 'a.tif')
    Image.fromarray(np.full((2, 2), 70000, np.int32)).save(tmp_path / 'b.tif')
    with pytest.raises(ImageReadError, match=r'b\.tif.*\b70000\b.*\b65535\b'):
        load(tmp_path / 'b.tif')


@pytest.fixture
def turned(tmp_path):
    """A stored 4 x 2 image whose EXIF orientation rotates it by 90 degrees to 2 x 4."""
    image = photo(4, 2)
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    image.save(tmp_path / 'a.png', exif=exif)
    stored = np.asarray(image)
    return str(tmp_path / 'a.png'), stored, np.rot90(stored, -1)


@pytest.mark.parametrize(
    ('exif', 'annotated', 'shown'),
    [
        ('auto', {}, 'stored'),
        ('auto', dict(width=4, height=2), 'stored'),
        ('auto', dict(width=2, height=4), 'turned'),
        ('apply', dict(width=4, height=2), 'turned'),
        ('apply', {}, 'turned'),
        ('ignore', dict(width=2, height=4), 'stored'),
    ],
)
def test_exif_orientation_follows_the_frame_of_the_boxes(turned, exif, annotated, shown):
    path, stored, rotated = turned
    results = LoadRGB(exif=exif)(dict(img_path=path, **annotated))
    np.testing.assert_array_equal(results['img'], rotated if shown == 'turned' else stored)


def test_boxes_in_another_frame_raise(turned):
    path, stored, _ = turned
    sample = dict(img_path=path, width=8, height=4, boxes_xywh=np.ones((1, 4)))
    with pytest.raises(ImageReadError, match=r'a\.png.*4 x 2.*8 x 4'):
        LoadRGB()(dict(sample))
    with pytest.raises(ImageReadError, match=r'a\.png.*4 x 2.*8 x 4'):
        LoadRGB(exif='ignore')(dict(sample))
    no_boxes = dict(sample, boxes_xywh=np.zeros((0, 4)))
    np.testing.assert_array_equal(LoadRGB()(no_boxes)['img'], stored)


def test_unknown_exif_option_raises():
    with pytest.raises(ValueError, match=r"exif.*'sometimes'"):
        LoadRGB(exif='sometimes')


def test_one_pixel(tmp_path):
    Image.new('RGB', (1, 1), (1, 2, 3)).save(tmp_path / 'a.png')
    assert load(tmp_path / 'a.png').tolist() == [[[1, 2, 3]]]


def test_missing_empty_and_foreign_files_raise(tmp_path):
    with pytest.raises(ImageReadError, match=r'none\.png'):
        load(tmp_path / 'none.png')
    (tmp_path / 'empty.png').write_bytes(b'')
    with pytest.raises(ImageReadError, match=r'empty\.png'):
        load(tmp_path / 'empty.png')
    (tmp_path / 'text.jpg').write_text('no picture')
    with pytest.raises(ImageReadError, match=r'text\.jpg'):
        load(tmp_path / 'text.jpg')
    (tmp_path / 'folder.png').mkdir()
    with pytest.raises(ImageReadError, match=r'folder\.png'):
        load(tmp_path / 'folder.png')


@pytest.mark.parametrize('file_format', ['PNG', 'JPEG', 'GIF', 'BMP', 'TIFF', 'WEBP'])
@pytest.mark.parametrize('share', [0.02, 0.5, 0.9])
def test_truncated_files_raise(tmp_path, file_format, share):
    whole = io.BytesIO()
    photo(64, 64).save(whole, format=file_format)
    content = whole.getvalue()
    (tmp_path / 'a').write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ImageReadError, match=str(tmp_path / 'a')):
        load(tmp_path / 'a')


def test_broken_png_raises(tmp_path):
    whole = io.BytesIO()
    photo(64, 64).save(whole, format='PNG')
    content = bytearray(whole.getvalue())
    start = content.index(b'IDAT') + 40
    content[start : start + 40] = bytes(40)
    length = int.from_bytes(content[content.index(b'IDAT') - 4 : content.index(b'IDAT')], 'big')
    begin = content.index(b'IDAT')
    crc = zlib.crc32(content[begin : begin + 4 + length])
    content[begin + 4 + length : begin + 8 + length] = crc.to_bytes(4, 'big')
    (tmp_path / 'a.png').write_bytes(content)
    with pytest.raises(ImageReadError, match=r'a\.png'):
        load(tmp_path / 'a.png')
