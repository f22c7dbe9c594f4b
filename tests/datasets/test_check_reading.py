"""What tools/check_data.py says of data sets, images and evaluators: what a run would say."""

import copy
import json
import os
import re

import pytest
from mmengine.config import Config
from PIL import Image

import clipself_mm.panoptic  # noqa: F401  registers its data set
from clipself_mm.datasets import load_vocabulary
from clipself_mm.datasets.checks.check_images import ImageChecks
from clipself_mm.datasets.checks.check_reading import check_reading
from clipself_mm.datasets.transforms import load_rgb

NAMES = ('mug', 'kettle', 'spoon')


def good(first):
    """Two images with a box of each class."""
    images = [dict(id=n, file_name=f'{n}.png', width=40, height=30) for n in (first, first + 1)]
    boxes = [
        dict(id=n, image_id=first, category_id=n, bbox=[n, n, 9, 9], area=81, iscrowd=0)
        for n in (1, 2, 3)
    ]
    categories = [dict(id=n, name=name) for n, name in enumerate(NAMES, 1)]
    return dict(images=images, annotations=boxes, categories=categories)


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """Files of a training and a validation set below the current folder."""
    monkeypatch.chdir(tmp_path)
    words = dict(classes=NAMES, base=NAMES[:2], novel=NAMES[2:])
    (tmp_path / 'words.json').write_text(json.dumps(words))
    (tmp_path / 'img').mkdir()
    for number in range(1, 5):
        Image.new('RGB', (40, 30)).save(tmp_path / 'img' / f'{number}.png')
    write(train=good(1), val=good(3))
    return tmp_path


def write(**contents):
    for name, content in contents.items():
        with open(f'{name}.json', 'w') as file:
            json.dump(content, file)


def detection(**changes):
    data = dict(
        type='OpenVocabCocoDataset',
        vocabulary='words.json',
        data_prefix=dict(img='img/'),
        pipeline=[dict(type='LoadImageFromFile')],
    )
    config = dict(
        default_scope='mmdet',
        train_dataloader=dict(dataset=dict(data, ann_file='train.json', base_only=True)),
        val_dataloader=dict(dataset=dict(data, ann_file='val.json', test_mode=True)),
        val_evaluator=dict(type='OpenVocabCocoMetric'),
    )
    config = Config(config)
    config.merge_from_dict(changes)
    return config


def check(config, **checks):
    """Kind and text of each finding."""
    found = check_reading(config, ImageChecks(**checks))
    kinds = ('problem', 'doubt', 'note')
    return [
        (kind, f'{finding.path}: {text}')
        for finding in found
        for kind in kinds
        if (text := getattr(finding, kind))
    ]


def test_good_files_are_described(tree):
    assert check(detection()) == [
        ('note', 'train.json: 2 images, 3 boxes: 1 of novel classes, 2 used'),
        ('note', 'train.json: 2 images, sizes as in their headers'),
        ('note', 'val.json: 2 images, 3 boxes: 3 used'),
        ('note', 'val.json: 2 images, sizes as in their headers'),
    ]


def test_a_doubt_and_an_error_of_training_are_foreseen(tree):
    content = good(1)
    content['annotations'][0]['iscrowd'] = 1
    write(train=content)
    found = check(detection())
    assert ('doubt', "train.json: no box of class 'mug' is used: 1 are crowd") in found
    content['annotations'][1]['bbox'] = None
    write(train=content)
    assert check(detection())[0] == (
        'problem',
        'train.json: bbox of annotation 2 is None, expected four finite numbers x, y, width, '
        'height',
    )


def test_sizes_are_compared_with_the_headers(tree):
    Image.new('RGB', (80, 60)).save(tree / 'img' / '2.png')
    (text,) = [text for kind, text in check(detection()) if kind == 'problem']
    assert re.match(r'train\.json: 1 of 2 images .*: img/2\.png:.* 80 x 60 .*40 x 30', text)


def test_masks_are_checked_where_they_are_loaded(tree):
    config = detection()
    assert not any(kind == 'problem' for kind, _ in check(config))
    steps = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations', with_mask=True)]
    config.train_dataloader.dataset.pipeline = steps
    (text,) = [text for kind, text in check(config) if kind == 'problem']
    assert text.startswith('train.json: 2 of 2 annotations have no valid mask, the first: seg')


@pytest.mark.parametrize(
    ('change', 'why'),
    [
        (lambda c: c['images'].pop(), 'has no image 4 of the data set'),
        (
            lambda c: c['images'][1].update(file_name='z.png'),
            r'image 4 is z\.png, the data',
        ),
        (lambda c: c['images'][1].update(width=99), 'image 4 is 99 x 30 pixels'),
        (lambda c: c['categories'][2].update(name='Spoon'), "the vocabulary has 'spoon'"),
        (lambda c: c.update(annotations=[]), 'no object of the 3 classes'),
    ],
)
def test_an_evaluator_must_read_the_images_of_its_data_set(tree, change, why):
    other = copy.deepcopy(good(3))
    change(other)
    write(other=other)
    found = check(detection(**{'val_evaluator.ann_file': 'other.json'}))
    (text,) = [text for kind, text in found if kind == 'problem']
    assert re.match(rf'other\.json: .*{why}', text)
    other = copy.deepcopy(good(3))  # the same images with other boxes are a split
    other['annotations'].pop()
    write(other=other)
    found = check(detection(**{'val_evaluator.ann_file': 'other.json'}))
    assert [kind for kind, _ in found] == ['note'] * 4 + ['doubt']


def test_deep_decodes_and_goes_on_where_it_was_stopped(tree, monkeypatch):
    broken = tree / 'img' / '2.png'
    content = broken.read_bytes()
    broken.write_bytes(content[:45])
    assert not any(kind == 'problem' for kind, _ in check(detection()))
    record = tree / 'record.txt'
    found = check(detection(), deep=True, record=record)
    (text,) = [text for kind, text in found if kind == 'problem']
    assert text.startswith('train.json: 1 of 2 images cannot be used: img/2.png: cannot be decoded')
    assert ('note', 'val.json: 2 images, decoded') in found

    lines = [line for line in record.read_text().splitlines() if line]
    assert len(lines) == 4
    record.write_text('\n'.join(lines[:3]) + '\n' + lines[3][:20])  # a kill cut the last line off
    read = []
    decode = load_rgb.decode_image
    monkeypatch.setattr(load_rgb, 'decode_image', lambda *args: read.append(1) or decode(*args))
    assert check(detection(), deep=True, record=record) == found
    assert len(read) == 1
    broken.write_bytes(content)
    os.utime(broken, (1, 1))
    found = check(detection(), deep=True, record=record)
    assert ('note', 'train.json: 2 images, decoded') in found
    assert len(read) == 2


def test_processes_find_the_same(tree):
    (tree / 'img' / '4.png').write_bytes(b'<html>')
    for deep in (False, True):
        found = check(detection(), deep=deep, workers=2)
        assert found == check(detection(), deep=deep)
        assert any(kind == 'problem' and 'img/4.png' in text for kind, text in found)


def test_published_size_of_ov_coco(tree):
    names = load_vocabulary('ov_coco').classes
    content = good(1)
    content['categories'] = [dict(id=n, name=name) for n, name in enumerate(names, 1)]
    write(train=content)
    config = detection(**{'train_dataloader.dataset.vocabulary': 'ov_coco'})
    assert ('note', 'train.json: 2 images (published: 107,761 images, 665,387 boxes)') in check(
        config
    )


def test_images_without_annotation_are_counted_and_decoded_only_deeply(tree):
    (tree / 'img' / '4.png').write_bytes(b'<html>')
    data = dict(type='UnlabelledImages', source='img', pipeline=[dict(type='LoadRGB')])
    config = Config(dict(train_dataloader=dict(dataset=data)))
    assert check(config) == [('note', 'img: 4 images')]
    (text,) = [text for kind, text in check(config, deep=True) if kind == 'problem']
    assert text.startswith('img: 1 of 4 images cannot be used: img/4.png: is not an image')


def test_segments_are_counted(tree):
    content = good(1)
    for category in content['categories']:
        category['isthing'] = 1
    content['categories'].append(dict(id=9, name='shelf', isthing=0))
    content['annotations'] = [
        dict(
            image_id=1,
            file_name='1.png',
            segments_info=[
                dict(id=n, category_id=n, bbox=[1, 1, 9, 9], area=81) for n in (1, 2, 9)
            ],
        )
    ]
    write(train=content)
    (tree / 'words.json').write_text(json.dumps(dict(classes=NAMES)))
    data = dict(
        type='OpenVocabPanopticDataset',
        ann_file='train.json',
        vocabulary='words.json',
        ignore_unknown=True,
        data_prefix=dict(img='img/', seg='img/'),
        pipeline=[],
    )
    (kind, text), *_ = check(Config(dict(train_dataloader=dict(dataset=data))))
    assert (kind, text) == (
        'note',
        'train.json: 1 images, 3 segments: 1 of other classes, 2 used',
    )


def test_two_data_sets_are_compared_with_the_json_of_both(tree):
    both = good(1)
    both['images'] += good(3)['images']
    write(both=both)
    config = detection(**{'val_evaluator.ann_file': 'both.json'})
    parts = [dict(config.val_dataloader.dataset, ann_file=f'{n}.json') for n in ('train', 'val')]
    config.val_dataloader.dataset = dict(type='ConcatDataset', datasets=parts)
    assert not any(kind == 'problem' for kind, _ in check(config))
    both['images'][3]['file_name'] = 'z.png'
    write(both=both)
    (text,) = [text for kind, text in check(config) if kind == 'problem']
    assert text.startswith('both.json: image 4 is z.png, the data set has')


def test_an_orientation_behind_the_pixels_of_a_png_is_found(tree):
    """PIL writes the chunk before the pixels, ImageMagick behind them."""
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tree / 'img' / '1.png'
    Image.new('RGB', (30, 40)).save(path, exif=exif)  # 40 x 30 when turned, as annotated
    content = path.read_bytes()
    start = content.index(b'eXIf') - 4
    end = start + 12 + int.from_bytes(content[start : start + 4], 'big')
    last = content.index(b'IEND') - 4
    path.write_bytes(content[:start] + content[end:last] + content[start:end] + content[last:])
    assert not any(kind == 'problem' for kind, _ in check(detection()))
