"""tools/measure_proposals.py: what of the annotated objects a file of proposals finds."""

import json
import re
from functools import partial

import pytest

IMAGES = [dict(id=f'image {key}', file_name=f'{key}.jpg', width=64, height=64) for key in (1, 2)]
OBJECTS = [  # image, class, box, crowd
    (0, 'cat', [0, 0, 10, 10], 0),
    (0, 'dog', [30, 30, 20, 20], 0),
    (1, 'dog', [0, 0, 10, 20], 0),
    (1, 'cat', [30, 30, 20, 20], 1),
]
PROPOSALS = [  # image, box, score
    (0, [0, 0, 10, 8], 0.5),  # IoU 0.8 with the cat
    (0, [20, 0, 10, 10], 0.9),
    (1, [32, 32, 10, 10], 0.8),  # on the crowd
    (1, [0, 0, 10, 10], 0.7),  # IoU 0.5 with the dog
]


def entries(names):
    return [
        dict(id=number, image_id=IMAGES[image]['id'], category_id=name, bbox=box, iscrowd=crowd)
        for number, (image, name, box, crowd) in enumerate(names, start=1)
    ]


@pytest.fixture
def measure(tmp_path, monkeypatch, run_tool):
    """Runs the tool's main in a folder with truth.json, found.json and pets.json."""
    monkeypatch.chdir(tmp_path)
    categories = [dict(id=name, name=name) for name in ('cat', 'dog')]
    truth = dict(images=IMAGES, annotations=entries(OBJECTS), categories=categories)
    (tmp_path / 'truth.json').write_text(json.dumps(truth))
    found = [
        dict(image_id=IMAGES[image]['id'], bbox=box, score=score) for image, box, score in PROPOSALS
    ]
    (tmp_path / 'found.json').write_text(json.dumps(found))
    pets = dict(classes=['cat', 'dog'], base=['dog'], novel=['cat'])
    (tmp_path / 'pets.json').write_text(json.dumps(pets))
    return partial(run_tool, 'measure_proposals')


def test_objects_that_are_found_and_proposals_that_are_objects(measure, capsys):
    options = '--ann-file truth.json --vocabulary pets.json --proposal-nums 1 2'
    measure('found.json', *options.split())
    lines = capsys.readouterr().out.splitlines()
    rows = {line.split()[0]: line.split()[1:] for line in lines[2:5]}
    # Of 10 thresholds, an IoU of 0.8 reaches the first seven and an IoU of 0.5 the first.
    assert rows['novel'] == ['0.0', '0.0', '70.0', '100.0']
    assert rows['base'] == ['0.0', '0.0', '5.0', '50.0']
    assert rows['all'] == ['0.0', '0.0', '26.7', '66.7']
    assert lines[6:] == [
        'the best 1 per image: 1 proposals, 0.0% cover an object (IoU 0.5)',
        'the best 2 per image: 3 proposals, 66.7% cover an object (IoU 0.5)',
    ]


def test_without_a_vocabulary_all_classes_count(measure, capsys):
    measure('found.json', '--ann-file', 'truth.json', '--proposal-nums', '2')
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines if line] == ['recall', '-' * 60, 'all', 'the']


def test_images_that_are_not_annotated_are_named(measure, tmp_path, capsys):
    images = [*IMAGES, dict(id='image 3', file_name='3.jpg')]
    annotations = [dict(image_id=image['id'], bbox=[0, 0, 9, 9], score=1) for image in images]
    content = dict(images=images, annotations=annotations)
    (tmp_path / 'found.json').write_text(json.dumps(content))
    measure('found.json', '--ann-file', 'truth.json')
    assert 'left out: 1 images not in truth.json: 3.jpg' in capsys.readouterr().out


@pytest.mark.parametrize(
    ('words', 'text'),
    [
        ('found.json --ann-file none.json', 'none.json'),
        ('none.json --ann-file truth.json', 'none.json'),
        ('found.json --ann-file found.json', 'found.json'),
        ('empty.json --ann-file truth.json', 'empty.json has proposals for 0 of the 2 images'),
        ('found.json --ann-file truth.json --vocabulary ov_coco', 'truth.json'),
        ('found.json --ann-file truth.json --proposal-nums 10 10', r'ascend, got \[10, 10\]'),
    ],
)
def test_wrong_input_is_named(measure, tmp_path, capsys, words, text):
    (tmp_path / 'empty.json').write_text('[]')
    with pytest.raises(SystemExit) as caught:
        measure(*words.split())
    shown = f'{caught.value} {capsys.readouterr().err}'
    assert re.search(text, shown), shown
