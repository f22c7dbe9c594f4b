"""Images given at inference: every kind gives the same pixels, or one sentence."""

import re
import threading
from functools import partial
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from clipself_mm.datasets import ImageReadError
from clipself_mm.datasets.input_images import OutputNames, list_inputs, read_image_argument

RGB = np.random.default_rng(0).integers(0, 256, (12, 17, 3), dtype=np.uint8)
GRAY = RGB[..., 0]
ALPHA = np.dstack([RGB, GRAY])
BGRA = ALPHA[..., [2, 1, 0, 3]]


@pytest.fixture
def save(tmp_path, monkeypatch):
    """Writes a picture into the current folder; returns its path."""
    monkeypatch.chdir(tmp_path)

    def write(pixels, name='1.png', **options):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
        image.save(name, **options)
        return name

    return write


def read(given):
    (image,) = list_inputs(given)
    pixels = image.read_rgb()
    assert np.array_equal(image.read_bgr(), pixels[..., ::-1])
    assert image.read_bgr().flags.c_contiguous
    return pixels


def turned(pixels=RGB):
    """A picture that viewers turn by 270 degrees: what is seen is `np.rot90(pixels, -1)`."""
    image = Image.fromarray(pixels)
    image.getexif()[0x0112] = 6
    return image


COLOUR = {
    'array': RGB[..., ::-1],
    'array with alpha': BGRA,
    'PIL': Image.fromarray(RGB),
    'PIL with alpha': Image.fromarray(ALPHA),
    'tensor': torch.from_numpy(RGB).permute(2, 0, 1),
    'tensor with alpha': torch.from_numpy(ALPHA).permute(2, 0, 1),
}
GRAYS = {
    'array': GRAY,
    'array of one channel': GRAY[..., None],
    'PIL': Image.fromarray(GRAY),
    'PIL of 16 bits': Image.fromarray(GRAY.astype(np.uint16) * 257),
    'tensor': torch.from_numpy(GRAY)[None],
}


@pytest.mark.parametrize('kind', COLOUR)
def test_kinds_of_a_colour_image_are_equal(kind):
    assert np.array_equal(read(COLOUR[kind]), RGB)


@pytest.mark.parametrize('kind', GRAYS)
def test_gray_is_repeated(kind):
    assert np.array_equal(read(GRAYS[kind]), np.dstack([GRAY] * 3))


@pytest.mark.parametrize('convert', [str, Path])
def test_file(save, convert):
    assert np.array_equal(read(convert(save(RGB))), RGB)
    assert np.array_equal(read(convert(save(GRAY.astype(np.uint16) * 257)))[..., 1], GRAY)
    assert np.array_equal(read(convert(save(RGB, 'named.jpg', format='PNG'))), RGB)


@pytest.mark.parametrize('mode', ['P', 'CMYK', 'LA', '1', 'YCbCr', 'HSV', 'I'])
def test_mode_of_pil_is_converted_as_that_of_a_file(mode):
    image = Image.fromarray(GRAY if mode in ('I', 'LA') else RGB).convert(mode)
    expected = image.convert('L').convert('RGB') if mode == 'I' else image.convert('RGB')
    if mode == 'I':
        image = Image.fromarray(GRAY.astype(np.int32) * 257)
    assert np.array_equal(read(image), np.asarray(expected))


def test_exif_orientation_is_applied(save):
    expected = np.rot90(RGB, -1)
    exif = turned().getexif()
    path = save(RGB, 'turned.png', exif=exif)
    assert np.array_equal(read(path), expected)
    assert np.array_equal(read(Image.open(path)), expected)
    assert np.array_equal(read(turned()), expected)
    assert np.array_equal(read_image_argument(path), expected)


def test_array_of_the_caller_is_not_changed():
    pixels = RGB.copy()
    (image,) = list_inputs(pixels)
    image.read_bgr()[:] = 0
    assert np.array_equal(pixels, RGB)


WRONG = {
    'float32': (RGB / np.float32(255), 'expected uint8.*float32.*255'),
    'float64 with NaN': (np.full((4, 5, 3), np.nan), 'expected uint8.*float64'),
    'float16 tensor': (torch.rand(3, 4, 5).half(), 'expected uint8.*float16.*255'),
    'uint16': (RGB.astype(np.uint16), r'uint16.*x / 257'),
    'int64': (RGB.astype(np.int64), 'int64.*uint8'),
    'bool': (GRAY > 9, 'bool.*255'),
    'no rows': (RGB[:0], r'empty.*\(0, 17, 3\)'),
    'no values': (np.zeros(0, np.uint8), r'\(H, W, 3\) BGR.*\(0,\)'),
    'two channels': (RGB[..., :2], r'\(H, W, 3\) BGR.*\(12, 17, 2\)'),
    'channels first': (RGB.transpose(2, 0, 1), r'\(H, W, 3\) BGR.*\(3, 12, 17\)'),
    'batch': (RGB[None], r'\(H, W, 3\) BGR.*\(1, 12, 17, 3\)'),
    'channels last tensor': (torch.from_numpy(RGB), r'\(3, H, W\) RGB.*\(12, 17, 3\)'),
    'flat tensor': (torch.from_numpy(GRAY), r'\(3, H, W\) RGB.*\(12, 17\)'),
    'empty tensor': (torch.zeros(3, 0, 5, dtype=torch.uint8), 'empty'),
    'empty PIL': (Image.new('RGB', (0, 5)), '0 x 5 pixels'),
    'nothing': ([], r'at least one image.*\[\]'),
    'no tuple': ((), r'at least one image.*\(\)'),
}
NO_IMAGES = dict(none=None, number=0, bytes=b'\x89PNG', pixels=[[[1, 2, 3]]], set={'1.png'})


def one_sentence(caught):
    text = str(caught.value)
    assert len(text.splitlines()) == 1
    assert len(text) < 400
    return text


@pytest.mark.parametrize('kind', WRONG)
def test_wrong_shape_or_type_raises(kind):
    given, message = WRONG[kind]
    with pytest.raises(ValueError, match=message) as caught:
        list_inputs(given)
    one_sentence(caught)
    if not isinstance(given, (list, tuple)):
        with pytest.raises(ValueError, match=f'input 1: .*{message}'):
            list_inputs([RGB, given])


@pytest.mark.parametrize('kind', NO_IMAGES)
def test_what_is_no_image_raises(kind):
    with pytest.raises(TypeError, match=r'expected a path, .*got') as caught:
        list_inputs(NO_IMAGES[kind])
    one_sentence(caught)


def test_floats_of_pil_raise():
    with pytest.raises(ImageReadError, match=r'input: .*floats'):
        read(Image.fromarray(GRAY.astype(np.float32)))


def test_broken_file_raises(save):
    content = Path(save(RGB)).read_bytes()
    for name, data in {'cut.png': content[:200], 'zero.jpg': b'', 'text.jpg': b'none'}.items():
        Path(name).write_bytes(data)
        with pytest.raises(ImageReadError, match=re.escape(name)) as caught:
            read(name)
        one_sentence(caught)
    with Image.open('cut.png') as image, pytest.raises(ImageReadError, match=r'cut\.png'):
        read(image)


def test_missing_file_and_video_raise_at_once(save):
    path = save(RGB)
    with pytest.raises(ImageReadError, match=r'absent\.png: no such file'):
        list_inputs([path, 'absent.png'])
    Path('clip.MP4').write_bytes(b'ftyp')
    with pytest.raises(ValueError, match=r'clip\.MP4: .*video.*frames'):
        list_inputs([path, 'clip.MP4'])


def test_folder(save):
    for name in ('b/1.JPG', 'a/1.jpeg', '2.Png', 'a/b/c.WEBP', '._2.Png', 'a/._1.jpeg', '3.ppm'):
        save(RGB, f'photos/{name}', format='PNG')
    Path('photos/notes.txt').write_text('no picture')
    expected = ['2.Png', '3.ppm', 'a/1.jpeg', 'a/b/c.WEBP', 'b/1.JPG']
    for folder in ('photos', Path('photos'), 'photos/'):
        found = list_inputs(folder)
        assert [image.name for image in found] == expected
        assert [Path(image.path) for image in found] == [Path('photos', name) for name in expected]
    assert len(list_inputs([RGB, 'photos', 'photos/2.Png'])) == 7
    assert len(list_inputs('photos', leave_out='photos/a')) == 3
    assert len(list_inputs('photos/a', leave_out='photos/a')) == 2


def test_folder_without_an_image_raises(save):
    save(RGB, 'empty/._1.png')
    Path('empty/film.mp4').write_bytes(b'ftyp')
    with pytest.raises(ValueError, match='empty: expected images') as caught:
        list_inputs('empty')
    one_sentence(caught)


def test_a_folder_is_listed_without_reading(save):
    save(RGB, 'photos/1.png')
    Path('photos/2.png').write_bytes(b'broken')
    assert len(list_inputs('photos')) == 2


def test_output_names_are_unique(save):
    paths = [save(RGB, name) for name in ('a/1.png', 'b/1.png', '1.png', '1_2.png', '0.png')]
    other = save(RGB, '1.jpg')
    names = OutputNames()
    chosen = names.choose(list_inputs([*paths, other, RGB, RGB, paths[0]]))
    assert chosen == ['1', '1_2', '1_3', '1_2_2', '0', '1_4', '0_2', '1_5', '1_6']
    # a later call: files have their names again, arrays new ones
    assert names.choose(list_inputs([paths[1], RGB, paths[0]])) == ['1_2', '2', '1']
    assert OutputNames().choose(list_inputs(['a', 'b/1.png'])) == ['1', '1_2']
    Path('1.png').unlink()
    save(RGB, 'photos/a/1.png')
    save(RGB, 'photos/b/1.png')
    save(RGB, 'photos/b/1.jpg')
    assert OutputNames().choose(list_inputs('photos')) == ['a/1', 'b/1', 'b/1_2']


def test_names_of_other_systems_are_found(save):
    save(RGB, 'café/1.png')
    assert np.array_equal(read('cafe\u0301\\1.png'), RGB)


def test_url(save):
    save(RGB, 'cat.png')
    server = HTTPServer(('127.0.0.1', 0), partial(QuietHandler, directory=Path.cwd()))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f'http://127.0.0.1:{server.server_port}'
    try:
        assert np.array_equal(read(f'{url}/cat.png'), RGB)
        with pytest.raises(ImageReadError, match=f'{url}/dog.png: .*404'):
            read(f'{url}/dog.png')
    finally:
        server.shutdown()
        server.server_close()


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


def test_url_gives_a_name():
    (image,) = list_inputs('https://host.example/a/cat.jpg?width=20')
    assert OutputNames().choose([image]) == ['cat']


def test_thousands_of_equal_names_are_fast(save):
    (image,) = list_inputs(save(RGB))
    assert len(set(OutputNames().choose([image] * 50_000))) == 50_000


@pytest.mark.parametrize('given', ['absent.jpg', 'folder', 'film.mp4', 'broken.jpg'])
def test_image_of_a_tool_ends_with_one_sentence(save, given):
    save(RGB, 'folder/1.png')
    for name in ('film.mp4', 'broken.jpg'):
        Path(name).write_bytes(b'x')
    with pytest.raises(SystemExit, match=f'error: {given}') as caught:
        read_image_argument(given)
    one_sentence(caught)
