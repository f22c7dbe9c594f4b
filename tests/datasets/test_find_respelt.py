import unicodedata

import numpy as np
import pytest

from clipself_mm.datasets import ImageReadError, LoadBGR, LoadRGB
from clipself_mm.datasets.image_files import Respelt, find_respelt
from tests.datasets.coco_files import photo

NFC, NFD = (unicodedata.normalize(form, 'Küche/Bär.jpg') for form in ('NFC', 'NFD'))
MIXED = NFC.split('/')[0] + '/' + NFD.split('/')[1]


@pytest.mark.parametrize(
    ('name', 'file'),
    [
        ('images\\1\\a.jpg', 'images/1/a.jpg'),
        ('images\\1/a.jpg', 'images/1/a.jpg'),
        (NFC, NFD),
        (NFD, NFC),
        (NFC, MIXED),
        (NFC.replace('/', '\\'), NFD),
        ('bilder\\' + NFC.replace('/', '\\'), 'bilder/' + NFD),
    ],
)
def test_the_same_file(name, file):
    assert find_respelt(name, {file, 'b.jpg'}.__contains__) == Respelt(file, same=True)


@pytest.mark.parametrize(
    ('name', 'file'),
    [
        ('cup%201.jpg', 'cup 1.jpg'),
        ('a/cup.jpg?d=1&w=160', 'a/cup.jpg'),
        ('a/cup%201.jpg?d=1', 'a/cup 1.jpg'),
        (' cup.jpg ', 'cup.jpg'),
        ('a/ cup.jpg', 'a/cup.jpg'),
        ('cup.jpg', 'cup.JPG'),
        ('cup.JPG', 'cup.jpg'),
        ('cup.jpg', 'cup.jpeg'),
        ('cup.png', 'cup.PNG'),
        ('a\\cup.jpg', 'a/cup.JPG'),
        ('K%C3%BCche/B%C3%A4r.jpg', NFD),
    ],
)
def test_hints(name, file):
    assert find_respelt(name, {file, 'b.jpg'}.__contains__) == Respelt(file, same=False)


@pytest.mark.parametrize('name', ['cup.jpg', 'a.b/cup', '', '.jpg', '%', '?', '\\', 'é' * 300])
def test_nothing_near(name):
    assert find_respelt(name, {'b.jpg'}.__contains__) is None


@pytest.mark.parametrize('reader', [LoadRGB, LoadBGR])
def test_readers_take_the_same_file(tmp_path, reader):
    (tmp_path / 'images').mkdir()
    photo(5, 3).save(tmp_path / 'images/a.png')
    found = reader()(dict(img_path=f'{tmp_path}/images\\a.png'))
    expected = reader()(dict(img_path=f'{tmp_path}/images/a.png'))
    np.testing.assert_array_equal(found['img'], expected['img'])
    assert found['img_path'] == f'{tmp_path}/images/a.png'
    with pytest.raises(ImageReadError, match=r'images/a\.PNG: no such file.*images/a\.png exists'):
        reader()(dict(img_path=f'{tmp_path}/images/a.PNG'))


def test_an_existing_name_is_never_respelt(tmp_path):
    photo(5, 3).save(tmp_path / 'a\\b.png')
    (tmp_path / 'a').mkdir()
    photo(7, 7).save(tmp_path / 'a/b.png')
    assert LoadRGB()(dict(img_path=f'{tmp_path}/a\\b.png'))['ori_shape'] == (3, 5)
