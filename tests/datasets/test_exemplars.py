"""Exemplars from a call, a folder and an annotation file; every bad one is named."""

import json

import numpy as np
import pytest
from PIL import Image

from clipself_mm.datasets import ImageReadError
from clipself_mm.datasets.exemplars import (
    Exemplar,
    list_exemplars,
    read_exemplar_boxes,
    read_exemplar_folder,
)


def picture(path, width=20, height=10):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new('RGB', (width, height), 'red').save(path)
    return path


def test_a_class_is_one_picture_or_many_of_any_kind(tmp_path):
    path = picture(tmp_path / 'crops/a.png')
    picture(tmp_path / 'crops/b.png')
    boxed = Exemplar(path, (0, 0, 5, 5))
    array = np.zeros((4, 4, 3), np.uint8)
    found = list_exemplars(
        {'ring': path, 'red  star': [array, boxed], 'red star ': path, 'leaf': tmp_path / 'crops'}
    )
    assert {name: len(own) for name, own in found.items()} == {'ring': 1, 'red star': 3, 'leaf': 2}
    assert found['red star'][1] is boxed
    assert found['red star'][1].box_in(20, 10).tolist() == [0, 0, 5, 5]
    assert found['leaf'][1].box_in(20, 10) is None


def test_folder_with_a_class_per_sub_folder(tmp_path):
    for name in ('red star/1.png', 'red star/more/2.jpg', 'object 17/a.webp', '.cache/x.png'):
        picture(tmp_path / name)
    found = read_exemplar_folder(tmp_path)
    assert {name: len(own) for name, own in found.items()} == {'object 17': 1, 'red star': 2}
    assert list_exemplars(str(tmp_path)).keys() == found.keys()
    (tmp_path / 'blue ring').mkdir()
    with pytest.raises(ValueError, match=r'blue ring.*expected images'):
        read_exemplar_folder(tmp_path)
    (tmp_path / 'blue ring').rmdir()
    picture(tmp_path / 'stray.png')
    with pytest.raises(ValueError, match=r'stray\.png is in no sub-folder'):
        read_exemplar_folder(tmp_path)


def test_bad_exemplars_are_named(tmp_path):
    with pytest.raises(NotADirectoryError, match='nowhere'):
        list_exemplars('nowhere')
    (tmp_path / 'none').mkdir()
    with pytest.raises(ValueError, match=r'none: expected a sub-folder per class'):
        read_exemplar_folder(tmp_path / 'none')
    with pytest.raises(TypeError, match='expected a folder, or class names'):
        list_exemplars({})
    with pytest.raises(ValueError, match="'ring': expected at least one"):
        list_exemplars({'ring': []})
    with pytest.raises(TypeError, match=r"'ring': .*expected a path"):
        list_exemplars({'ring': [3]})
    with pytest.raises(ImageReadError, match=r'gone\.png'):
        list_exemplars({'ring': 'gone.png'})
    path = picture(tmp_path / 'a.png')
    for box, why in (
        ((5, 5, 5, 9), 'no area'),
        ((30, 0, 40, 5), 'no area in the image of 20 x 10'),
        ((0, 0, 5), 'four finite numbers'),
        ((0, 0, float('nan'), 5), 'four finite numbers'),
        ('box', 'four finite numbers'),
    ):
        with pytest.raises(ValueError, match=rf'a\.png.*{why}'):
            Exemplar(path, box).box_in(20, 10)
    assert Exemplar(path, (-3, 2, 99, 8)).box_in(20, 10).tolist() == [0, 2, 20, 8]


@pytest.fixture
def annotated(tmp_path):
    """A json with 6 stars, 2 rings and a crowd, in an image stored on its side."""
    image = Image.new('RGB', (60, 100))
    image.putpixel((10, 20), (255, 0, 0))
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned by 90 degrees: 100 x 60
    image.save(tmp_path / 'a.png', exif=exif)
    boxes = [(40 + n, 10, 10, 10 + n, 1, 0) for n in range(6)]
    boxes += [(0, 0, 9, 9, 2, 0), (5, 5, 9, 9, 2, 0), (0, 0, 50, 50, 2, 1), (3, 3, 0, 9, 3, 0)]
    content = dict(
        images=[dict(id=1, file_name='a.png', width=100, height=60)],
        annotations=[
            dict(id=n, image_id=1, bbox=[x, y, w, h], category_id=c, iscrowd=crowd, area=w * h)
            for n, (x, y, w, h, c, crowd) in enumerate(boxes)
        ],
        categories=[dict(id=n, name=name) for n, name in ((1, 'star'), (2, 'ring'), (3, 'flat'))],
    )
    path = tmp_path / 'a.json'
    path.write_text(json.dumps(content))
    return str(path), str(tmp_path)


def boxes_of(exemplars):
    return [tuple(e.box) for e in exemplars]


def test_boxes_of_an_annotation_file(annotated):
    every = read_exemplar_boxes(*annotated)
    assert {name: len(own) for name, own in every.items()} == {'star': 6, 'ring': 2}
    assert boxes_of(every['ring']) == [(0, 0, 9, 9), (5, 5, 14, 14)]  # not the crowd
    pixels = every['star'][0].input.read_rgb()
    assert pixels.shape == (60, 100, 3)  # the frame of the annotation
    assert pixels[10, 79].tolist() == [255, 0, 0]


def test_choice_of_boxes_follows_the_seed(annotated):
    few = read_exemplar_boxes(*annotated, per_class=2, seed=1)
    assert {name: len(own) for name, own in few.items()} == {'star': 2, 'ring': 2}
    again = read_exemplar_boxes(*annotated, per_class=2, seed=1, classes=['star'])
    assert boxes_of(again['star']) == boxes_of(few['star'])
    more = read_exemplar_boxes(*annotated, per_class=4, seed=1)
    assert {*boxes_of(few['star'])} < {*boxes_of(more['star'])}
    others = [
        boxes_of(read_exemplar_boxes(*annotated, per_class=2, seed=n)['star']) for n in range(6)
    ]
    assert len({*map(tuple, others)}) > 2


def test_bad_boxes_of_a_file(annotated):
    with pytest.raises(ValueError, match=r"a\.json: has no category \['Star'\].*found 'star'"):
        read_exemplar_boxes(*annotated, classes=['Star'])
    with pytest.raises(ValueError, match=r"a\.json: no box of \['flat'\].*without area"):
        read_exemplar_boxes(*annotated, classes=['ring', 'flat'])
    with pytest.raises(ValueError, match='at least 1, got 0'):
        read_exemplar_boxes(*annotated, per_class=0)
    (exemplar, *_) = read_exemplar_boxes(annotated[0], '/nowhere')['ring']
    with pytest.raises(ImageReadError, match=r'/nowhere/a\.png'):
        exemplar.input.read_rgb()
