"""Images found by file name, with folders or without."""

import pytest

from clipself_mm.datasets.proposals.reading import ImageNames


def names_of(*files):
    return ImageNames([dict(id=k, file_name=f) for k, f in enumerate(files, start=1)], 'truth.json')


@pytest.mark.parametrize(
    ('files', 'name', 'found'),
    [
        (['1.jpg', '2.jpg'], '2.jpg', 2),
        (['1.jpg', '2.jpg'], 'train2017/2.jpg', 2),
        (['1.jpg', '2.jpg'], '/data/coco/train2017/2.jpg', 2),
        (['1.jpg', '2.jpg'], 'train2017\\2.jpg', 2),
        (['1.jpg', '2.jpg'], './2.jpg', 2),
        (['a/1.jpg', 'a/2.jpg'], '2.jpg', 2),
        (['a/1.jpg', 'b/1.jpg'], 'b/1.jpg', 2),
        (['a/1.jpg', 'b/1.jpg'], 'x/b/1.jpg', 2),
        (['1.jpg', 'a/1.jpg'], '1.jpg', 1),
        (['1.jpg', 'a/1.jpg'], 'a/1.jpg', 2),
        (['1.jpg', '2.jpg'], '3.jpg', None),
        (['1.jpg', '2.jpg'], '12.jpg', None),
        (['a/1.jpg', 'a/2.jpg'], 'b/2.jpg', None),
    ],
)
def test_find_by_file_name(files, name, found):
    assert names_of(*files).find(name) == found


def test_lvis_images_are_found_by_url():
    url = 'http://images.cocodataset.org/train2017/000000000009.jpg'
    names = ImageNames([dict(id=9, coco_url=url)], 'lvis.json')
    assert names.find('train2017/000000000009.jpg') == 9
    assert names.find('000000000009.jpg') == 9
    assert names.find('val2017/000000000009.jpg') is None


def test_ambiguous_name_raises():
    names = names_of('a/1.jpg', 'b/1.jpg')
    with pytest.raises(ValueError, match=r'truth\.json.*\b1\.jpg.*\[1, 2\]'):
        names.find('1.jpg')
