"""Images found by file name, with folders or without."""

import json

import pytest

from clipself_mm.datasets.proposals.reading import ImageNames, read_proposals


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


def test_proposals_of_another_size_are_an_error(tmp_path):
    images = [dict(id=1, file_name='a/1.jpg', width=160, height=120)]
    content = dict(
        images=[dict(id=5, file_name='1.jpg', width=160, height=120)],
        annotations=[dict(id=1, image_id=5, bbox=[1, 1, 9, 9])],
    )
    path = tmp_path / 'proposals.json'
    path.write_text(json.dumps(content))
    assert list(read_proposals(str(path), images, 'val.json')[0]) == [1]
    content['images'][0]['width'] = 320
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r'proposals\.json: width of 1\.jpg is 320, in val\.json'):
        read_proposals(str(path), images, 'val.json')
