"""Findings about the files of a config."""

import json
import re

import numpy as np
import pytest
import torch
from mmengine.config import Config
from safetensors.torch import save_file

from clipself_mm.datasets.checks.check_data import Finding, check_config


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """Complete data of two images in COCO's layout, below the current folder."""
    monkeypatch.chdir(tmp_path)
    for folder in ('data/val', 'data/annotations/panoptic', 'weights'):
        (tmp_path / folder).mkdir(parents=True)
    names = ['1', '2']
    for name in names:
        (tmp_path / f'data/val/{name}.jpg').write_bytes(b'jpeg')
        (tmp_path / f'data/annotations/panoptic/{name}.png').write_bytes(b'png')
    images = [dict(id=int(name), file_name=f'{name}.jpg') for name in names]
    segments = [dict(image_id=int(name), file_name=f'{name}.png') for name in names]
    content = dict(images=images, annotations=segments, categories=[])
    (tmp_path / 'data/annotations/panoptic.json').write_text(json.dumps(content))
    save_file(dict(w=torch.zeros(64)), tmp_path / 'weights/tower.safetensors')
    torch.save(dict(w=torch.zeros(64)), tmp_path / 'weights/start.pth')
    np.save(tmp_path / 'weights/classes.npy', np.zeros(3))
    return tmp_path


def config(**changes):
    dataset = dict(
        type='PanopticRegions',
        data_root='data/',
        ann_file='annotations/panoptic.json',
        data_prefix=dict(img='val/', seg='annotations/panoptic/'),
        vocabulary='coco_panoptic',
    )
    wrapped = dict(type='ConcatDataset', datasets=[dict(type='RepeatDataset', dataset=dataset)])
    settings = dict(
        val_dataloader=dict(batch_size=1, dataset=dataset),
        test_dataloader=dict(batch_size=1, dataset=wrapped),
        val_evaluator=[dict(type='CocoPanopticMetric', ann_file='data/annotations/panoptic.json')],
        model=dict(
            tower=dict(model='ViT-B-16', checkpoint='weights/tower.safetensors'),
            head=dict(text=dict(embeddings='weights/classes.npy')),
        ),
        load_from='weights/start.pth',
    )
    return Config({**settings, **changes})


def problems(settings):
    return {found.path: found.problem for found in check_config(settings) if found.problem}


def assert_problems(settings, expected):
    """Exactly the paths of `expected` have a problem, which matches the pattern."""
    found = problems(settings)
    assert found.keys() == expected.keys(), found
    for path, pattern in expected.items():
        assert re.search(pattern, found[path]), found


def test_complete_data_are_listed_once(tree):
    found = list(check_config(config()))
    assert all(finding.problem == '' for finding in found)
    assert [finding.path for finding in found] == [
        'data/annotations/panoptic.json',
        'data/val/',
        'data/annotations/panoptic/',
        'coco_panoptic',
        'weights/tower.safetensors',
        'weights/classes.npy',
        'weights/start.pth',
    ]
    assert found[0] == Finding('data/annotations/panoptic.json', note='2 images')
    assert found[3].note == 'vocabulary of 133 classes'


def test_truncated_json_is_reported(tree):
    file = tree / 'data/annotations/panoptic.json'
    file.write_text(file.read_text()[:-20])
    (problem,) = {text for path, text in problems(config()).items() if path.endswith('.json')}
    assert 'column' in problem


def test_json_without_images_is_reported(tree):
    (tree / 'data/annotations/panoptic.json').write_text('{"annotations": []}')
    assert_problems(config(), {'data/annotations/panoptic.json': r"image.*\['annotations'\]"})


def test_weights_of_a_package_are_checked(tree):
    detector = 'pkg:clipself_mm.shapes/tiny_fvit/fvit_tiny.safetensors'
    assert problems(config(load_from=detector)) == {}
    assert Finding(detector, note='4.0 MiB') in list(check_config(config(load_from=detector)))
    gone = 'pkg:clipself_mm.shapes/gone.safetensors'
    assert_problems(config(load_from=gone), {gone: 'is missing'})
    foreign = 'pkg:no_such_package/file.pth'
    assert_problems(config(load_from=foreign), {foreign: 'expected PACKAGE/FOLDER'})


def test_wrapped_dataset_is_checked(tree):
    settings = config()
    inner = settings.test_dataloader.dataset.datasets[0].dataset
    inner.ann_file = 'annotations/other.json'
    assert_problems(settings, {'data/annotations/other.json': 'missing'})


def test_json_of_an_evaluator_is_checked(tree):
    settings = config(test_evaluator=dict(type='CocoMetric', ann_file='elsewhere.json'))
    assert_problems(settings, {'elsewhere.json': 'missing'})


def test_missing_and_empty_images_are_reported(tree):
    (tree / 'data/val/1.jpg').unlink()
    (tree / 'data/val/2.jpg').write_bytes(b'')
    assert_problems(config(), {'data/val/': r'\b1\b.*\b1\b.*\b2\b.*1\.jpg, 2\.jpg'})


def test_missing_folder_is_reported_with_the_number_of_files(tree):
    (tree / 'data/annotations/panoptic').rename(tree / 'gone')
    assert_problems(config(), {'data/annotations/panoptic/': r'missing.*\b2\b'})


def test_lvis_images_are_found_by_their_url(tree):
    images = [dict(id=1, coco_url='http://somewhere/val/1.jpg')]
    (tree / 'data/lvis.json').write_text(json.dumps(dict(images=images)))
    dataset = dict(data_root='data', ann_file='lvis.json', data_prefix=dict(img=''))
    settings = Config(dict(train_dataloader=dict(dataset=dataset)))
    assert problems(settings) == {}
    (tree / 'data/val/1.jpg').unlink()
    assert_problems(settings, {'data/': r'\b1\b.*\b1\b.*val/1\.jpg'})


def test_folders_without_a_list_must_not_be_empty(tree):
    """mmseg's datasets: two folders, no annotation file."""
    (tree / 'ade').mkdir()
    dataset = dict(data_prefix=dict(img_path='ade', seg_map_path='data/annotations'))
    settings = Config(dict(val_dataloader=dict(dataset=dataset)))
    assert_problems(settings, {'ade': 'empty'})


@pytest.mark.parametrize(
    ('name', 'why'),
    [
        ('weights/tower.safetensors', 'safetensors'),
        ('weights/start.pth', 'short'),
    ],
)
def test_truncated_weights_are_reported(tree, name, why):
    content = (tree / name).read_bytes()
    (tree / name).write_bytes(content[: len(content) // 2])
    assert_problems(config(), {name: why})


def test_missing_and_empty_weights_are_reported(tree):
    (tree / 'weights/classes.npy').write_bytes(b'')
    (tree / 'weights/start.pth').unlink()
    assert_problems(config(), {'weights/classes.npy': 'empty', 'weights/start.pth': 'missing'})


def test_a_tower_folder_must_be_complete(tree):
    settings = Config(dict(model=dict(tower=dict(model='local-dir:weights'))))
    ((path, problem),) = problems(settings).items()
    assert path == 'local-dir:weights'
    assert 'open_clip_config.json' in problem


def test_tower_of_the_package_exists():
    settings = Config(dict(model=dict(tower=dict(model='pkg:clipself_mm.shapes/tiny_clip'))))
    (finding,) = check_config(settings)
    assert finding.path.endswith('tiny_clip/open_clip_model.safetensors')
    assert finding.problem == ''


def test_unknown_vocabulary_is_reported(tree):
    settings = Config(dict(model=dict(classifier=dict(vocabulary='no_such'))))
    assert_problems(settings, {'no_such': "'no_such'"})


def pairs_config(vocabulary, **dataset):
    """A config of proposals with captions, all files below `data`, and a model of their nouns."""
    given = dict(
        type='CaptionedRegions',
        data_root='data/',
        ann_file='annotations/panoptic.json',
        caption_file='annotations/captions.json',
        data_prefix=dict(img='val/'),
        vocabulary=vocabulary,
    )
    loader = dict(test_dataloader=dict(dataset={**given, **dataset}))
    return Config(dict(model=dict(nouns=dict(vocabulary=vocabulary)), **loader))


def write_captions(tree, captions):
    images = [dict(id=1, file_name='1.jpg'), dict(id=2, file_name='2.jpg')]
    content = dict(images=images, annotations=captions)
    (tree / 'data/annotations/captions.json').write_text(json.dumps(content))


@pytest.mark.parametrize(
    ('captions', 'problem'),
    [
        (None, 'missing'),
        ([], 'caption'),
        ([dict(image_id=1)], r"'caption'.*\{'image_id': 1\}"),
        ([dict(image_id=7, caption='a')], r'caption.*\b7\b.*images'),
    ],
)
@pytest.mark.parametrize('kind', ['CaptionedRegions', 'CaptionedImages'])
def test_captions_are_checked(tree, captions, problem, kind):
    settings = pairs_config('ov_coco')
    if kind == 'CaptionedImages':
        dataset = settings.test_dataloader.dataset
        dataset.update(type=kind, ann_file=dataset.pop('caption_file'))
    if captions is not None:
        write_captions(tree, captions)
    assert_problems(settings, {'data/annotations/captions.json': problem})
    write_captions(tree, [dict(image_id=2, caption='a cup'), dict(image_id=2, caption='a mug')])
    notes = {found.path: found for found in check_config(settings)}
    assert notes['data/annotations/captions.json'].note == '2 captions of 2 images'
    assert problems(settings) == {}


def test_categories_of_a_json_are_nouns_but_not_a_vocabulary(tree):
    """docs/region-text.md: the released pairs have 4,764 nouns as categories."""
    write_captions(tree, [dict(image_id=2, caption='a cup')])
    content = dict(images=[], categories=[dict(id=4, name='cup'), dict(id=2, name='pen')])
    (tree / 'pairs.json').write_text(json.dumps(content))
    settings = pairs_config('pairs.json')
    notes = {found.path: found.note for found in check_config(settings)}
    assert notes['pairs.json'] == 'vocabulary of 2 classes'
    assert problems(settings) == {}
    settings.model.classifier = dict(vocabulary='pairs.json')
    assert "'classes'" in problems(settings)['pairs.json']
