import io
import struct
import sys
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from PIL import Image

from clipself_mm.datasets import ImageReadError, LoadRGB
from tests.datasets.coco_files import photo
from tests.datasets.image_files import broken_picture, gray_ramp, write_oriented
from tests.forks import Fork

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


@pytest.mark.parametrize('name', ['a.png', 'a.tif'])
@pytest.mark.parametrize('channels', [1, 3, 4])
def test_16_bit_files_are_right_or_refused(tmp_path, name, channels):
    """OpenCV writes 16-bit colours, which Pillow cannot."""
    path = str(tmp_path / name)
    truth = np.repeat(gray_ramp()[..., None], channels, -1).astype(np.uint16)
    cv2.imwrite(path, truth * 257)
    difference = load(path).astype(int) - truth[..., :3]
    assert np.abs(difference).max() <= 2
    for bits in (8, 10, 12):  # of data in 16 bit: nearly black if read as it is
        deep = truth * 2 ** (bits - 8)
        if channels == 4:
            deep[..., 3] = 65535  # alpha is not data
        cv2.imwrite(path, deep)
        with pytest.raises(ImageReadError, match=rf'{name}.*exceeds.*8 bit'):
            load(path)
    if channels == 1:  # of colours, Pillow leaves nothing to tell black from 8-bit data
        cv2.imwrite(path, np.zeros_like(truth))
        assert load(path).max() == 0


@pytest.fixture
def logged(monkeypatch):
    """What is logged once in a process, here once in a test."""
    texts = []
    module = 'clipself_mm.datasets.image_files.log_once'
    monkeypatch.setattr(f'{module}._logged', set())
    monkeypatch.setattr(f'{module}.print_log', lambda text, **_: texts.append(text))
    return texts


def test_dark_16_bit_files_warn_once(tmp_path, logged):
    for name in ('a.png', 'b.png'):
        Image.fromarray(gray_ramp(top=9000).astype(np.uint16)).save(tmp_path / name)
        assert load(tmp_path / name).max() == 35
    (text,) = logged
    assert 'a.png' in text
    assert '9000 of 65535' in text


def test_white_is_zero(tmp_path):
    values = gray_ramp(top=255)
    for dtype, factor in ((np.uint8, 1), (np.uint16, 257)):
        whole = io.BytesIO()
        Image.fromarray((values * factor).astype(dtype)).save(whole, format='TIFF')
        content = bytearray(whole.getvalue())
        entry = content.index(struct.pack('<HHIH', 262, 3, 1, 1))  # photometric: black is zero
        content[entry + 8 : entry + 10] = bytes(2)
        (tmp_path / 'a.tif').write_bytes(content)
        np.testing.assert_array_equal(load(tmp_path / 'a.tif')[..., 0], 255 - values)


@pytest.mark.parametrize('orientation', range(1, 9))
@pytest.mark.parametrize('name', ['a.png', 'a.tif', 'a.jpg', 'a.webp'])
def test_orientation_of_all_formats(tmp_path, name, orientation):
    """Pillow turns TIFF while it reads it, the others not."""
    path = write_oriented(tmp_path / name, (40, 30), orientation)
    stored = np.asarray(photo(40, 30, seed=7))
    if name in ('a.jpg', 'a.webp'):  # lossy
        Image.fromarray(stored).save(tmp_path / f'b{name}', quality=95)
        stored = np.asarray(Image.open(tmp_path / f'b{name}').convert('RGB'))
    turned = {
        1: stored,
        2: np.fliplr(stored),
        3: np.rot90(stored, 2),
        4: np.flipud(stored),
        5: np.rot90(np.fliplr(stored), 1),
        6: np.rot90(stored, -1),
        7: np.rot90(np.fliplr(stored), -1),
        8: np.rot90(stored, 1),
    }[orientation]
    for exif, expected in (('ignore', stored), ('apply', turned)):
        found = LoadRGB(exif=exif)(dict(img_path=path))['img']
        np.testing.assert_array_equal(found, expected)


def test_first_frame_or_page(tmp_path):
    first, second = photo(8, 6, 1), photo(8, 6, 2)
    for name in ('a.tif', 'a.webp', 'a.png'):
        first.save(tmp_path / name, save_all=True, append_images=[second], lossless=True)
        np.testing.assert_array_equal(load(tmp_path / name), np.asarray(first))
    palette = first.quantize(16)
    palette.save(tmp_path / 'a.gif', save_all=True, append_images=[second.quantize(16)])
    expected = np.asarray(palette.convert('RGB'))
    np.testing.assert_array_equal(load(tmp_path / 'a.gif'), expected)
    first.save(tmp_path / 'a.mpo', save_all=True, append_images=[second], quality=100)
    first.save(tmp_path / 'b.jpg', quality=100)
    np.testing.assert_array_equal(load(tmp_path / 'a.mpo'), load(tmp_path / 'b.jpg'))


def test_the_content_decides_not_the_ending(tmp_path):
    photo(8, 6).save(tmp_path / 'a.jpg', format='WEBP', lossless=True)
    np.testing.assert_array_equal(load(tmp_path / 'a.jpg'), np.asarray(photo(8, 6)))


def test_heic_says_what_to_install(tmp_path, monkeypatch):
    (tmp_path / 'a.heic').write_bytes(b'\0\0\0\x18ftypheic\0\0\0\0mif1heic')
    monkeypatch.setitem(sys.modules, 'pillow_heif', None)  # as if it were not installed
    with pytest.raises(ImageReadError, match=r'a\.heic.*pip install pillow-heif'):
        load(tmp_path / 'a.heic')


def test_heic_is_read_where_its_package_is_installed(tmp_path, monkeypatch):
    """The package is a fake: it tells Pillow of a format whose files are all the same picture."""
    (tmp_path / 'a.heic').write_bytes(b'\0\0\0\x18ftypheic\0\0\0\0mif1heic')

    def register_heif_opener():
        Image.register_open('FAKE', lambda *_: photo(8, 6), lambda start: start[4:8] == b'ftyp')

    monkeypatch.setattr(Image, 'ID', [*Image.ID])
    monkeypatch.setattr(Image, 'OPEN', {**Image.OPEN})
    fake = SimpleNamespace(register_heif_opener=register_heif_opener)
    monkeypatch.setitem(sys.modules, 'pillow_heif', fake)
    np.testing.assert_array_equal(load(tmp_path / 'a.heic'), np.asarray(photo(8, 6)))


def test_large_pictures(tmp_path, monkeypatch, logged):
    """Pillow's limit: one warning between once and twice the limit, an error beyond."""
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 100)
    for name, size in (('a.png', (12, 10)), ('b.png', (13, 11)), ('c.png', (21, 10))):
        Image.new('1', size).save(tmp_path / name)
    assert load(tmp_path / 'a.png').shape == (10, 12, 3)
    assert load(tmp_path / 'b.png').shape == (11, 13, 3)
    (text,) = logged
    assert 'a.png' in text
    assert '100' in text
    with pytest.raises(ImageReadError, match=r'c\.png.*210 pixels.*limit of 200'):
        load(tmp_path / 'c.png')


@pytest.mark.slow
def test_pillow_does_not_warn_of_each_large_picture(tmp_path):
    """In a process of its own: pytest has its own filters of warnings."""
    for name, size in (('a.png', (12, 10)), ('b.png', (13, 11))):
        Image.new('1', size).save(tmp_path / name)
    code = (
        'import sys; from PIL import Image; from clipself_mm.datasets import LoadRGB\n'
        'Image.MAX_IMAGE_PIXELS = 100\n'
        'for path in sys.argv[1:]: LoadRGB()(dict(img_path=path))'
    )
    (tmp_path / 'load.py').write_text(code)
    done = Fork(['load.py', 'a.png', 'b.png'], tmp_path).wait()
    assert done.returncode == 0
    said = done.stdout + done.stderr
    assert said.count('a.png') == 1
    assert 'b.png' not in said
    assert 'Warning' not in said


def test_floats_and_wide_integers_raise(tmp_path):
    Image.fromarray(np.ones((2, 2), np.float32)).save(tmp_path / 'a.tif')
    with pytest.raises(ImageReadError, match=r'a\.tif.*\b8\b.*\b16\b'):
        load(tmp_path / 'a.tif')
    Image.fromarray(np.full((2, 2), 70000, np.int32)).save(tmp_path / 'b.tif')
    with pytest.raises(ImageReadError, match=r'b\.tif.*\b70000\b.*\b65535\b'):
        load(tmp_path / 'b.tif')
    cv2.imwrite(str(tmp_path / 'c.tif'), np.ones((2, 2, 3), np.float32))
    with pytest.raises(ImageReadError, match=r'c\.tif'):
        load(tmp_path / 'c.tif')


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
    (tmp_path / 'page.jpg').write_bytes(broken_picture('html'))
    with pytest.raises(ImageReadError, match=r'page\.jpg.*not an image.*<!DOCTYPE html>'):
        load(tmp_path / 'page.jpg')
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
    (tmp_path / 'a.png').write_bytes(broken_picture('png'))
    with pytest.raises(ImageReadError, match=r'a\.png'):
        load(tmp_path / 'a.png')


@pytest.mark.parametrize(
    ('extent', 'shown'),
    [((100, 150), 'turned'), ((150, 100), 'stored'), ((100, 100), None), ((150, 150), None)],
)
def test_without_a_size_the_boxes_tell_the_frame(tmp_path, extent, shown):
    path = write_oriented(tmp_path / 'a.jpg', (160, 120), 6)
    boxes = np.array([[0, 0, 10, 10], [5, 5, extent[0] - 5, extent[1] - 5]], np.float64)
    sample = dict(img_path=path, boxes_xywh=boxes)
    if shown is None:
        with pytest.raises(ImageReadError, match=r"a\.jpg.*160 x 120.*120 x 160.*exif='apply'"):
            LoadRGB()(sample)
        assert LoadRGB(exif='apply')(sample)['img'].shape == (160, 120, 3)
    else:
        shape = (160, 120, 3) if shown == 'turned' else (120, 160, 3)
        assert LoadRGB()(sample)['img'].shape == shape


def test_a_fixed_orientation_takes_the_size_of_either_frame(tmp_path):
    """Tools that show turned pictures write the stored size (the boxes must fit)."""
    path = write_oriented(tmp_path / 'a.jpg', (160, 120), 6)
    sample = dict(img_path=path, width=160, height=120)
    fits = dict(sample, boxes_xywh=np.array([[10.0, 90, 50, 60]]))
    assert LoadRGB(exif='apply')(fits)['img'].shape == (160, 120, 3)
    beyond = dict(sample, boxes_xywh=np.array([[90.0, 10, 60, 60]]))
    with pytest.raises(ImageReadError, match=r'a\.jpg.*160 x 120'):
        LoadRGB(exif='apply')(beyond)


def test_broken_exif_matters_only_where_it_is_needed(tmp_path):
    path = tmp_path / 'a.jpg'
    photo(40, 30).save(path, exif=b'Exif\0\0II*\0\x08\0\0\0\xff\xff' + b'\x12' * 9)
    sample = dict(img_path=str(path), width=40, height=30, boxes_xywh=np.ones((1, 4)))
    assert LoadRGB()(sample)['img'].shape == (30, 40, 3)


def test_an_orientation_that_keeps_the_size_warns_once(tmp_path, logged):
    for name in ('a.jpg', 'b.jpg'):
        path = write_oriented(tmp_path / name, (40, 30), 3)
        LoadRGB()(dict(img_path=path))  # without boxes any frame is right
    for name in ('b.jpg', 'a.jpg'):
        sample = dict(img_path=str(tmp_path / name), width=40, height=30)
        LoadRGB()(dict(sample, boxes_xywh=np.ones((1, 4))))
    (text,) = logged
    assert 'b.jpg' in text
    assert "exif='apply'" in text
