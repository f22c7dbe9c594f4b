"""Checks of COCO-style files."""

import json

import pytest

from clipself_mm.datasets.annotations.coco_json import load_coco_json

IMAGE = dict(id=3, file_name='a.jpg')


@pytest.mark.parametrize(
    ('content', 'complaint'),
    [
        ('[1, 2]', r"\['images'\].*\blist\b"),
        ('{"images": [', 'column 13'),
        (dict(images={}), r"'images'.*\bdict\b"),
        (dict(images=[dict(file_name='a.jpg')]), r"'id'.*\{'file_name': 'a\.jpg'\}"),
        (dict(images=[IMAGE, IMAGE]), r'\bid\b.*\b3\b'),
        (
            dict(images=[IMAGE], annotations=[dict(id=7, bbox=[0, 0, 1, 1])]),
            "'image_id'.*'id': 7",
        ),
    ],
)
def test_broken_file_raises(tmp_path, content, complaint):
    path = tmp_path / 'boxes.json'
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(ValueError, match=rf'boxes\.json.*{complaint}'):
        load_coco_json(str(path))


def test_valid_file_is_returned_unchanged(tmp_path):
    content = dict(images=[IMAGE], annotations=[dict(image_id=3)], more=1)
    path = tmp_path / 'boxes.json'
    path.write_text(json.dumps(content))
    assert load_coco_json(str(path), ('images', 'annotations')) == content
