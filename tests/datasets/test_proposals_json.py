"""Conversion of proposals to the json of region training, and the layout of the released file."""

import json
import pickle

import numpy as np
import pytest
from mmengine.dataset import pseudo_collate

from clipself_mm.datasets import ImageRegions, SeededIndex
from clipself_mm.datasets.proposals.conversion import (
    ProposalCount,
    ProposalSelection,
    convert_proposals,
)
from tests.datasets.coco_files import box, training_pipeline, write_images, write_json

IMAGES = [dict(id=key, file_name=f'{key}.jpg', width=64, height=48) for key in (5, 3, 8)]
FOUND = {3: ([[1, 2, 10, 20], [0, 0, 30, 30]], [0.25, 0.75]), 8: ([[4, 4, 16, 8]], [0.5])}
"""Image id to boxes x, y, width, height and scores; image 5 has none."""


@pytest.fixture
def truth(tmp_path):
    return write_json(tmp_path / 'truth.json', images=IMAGES, annotations=[], categories=[])


def results(scores=True):
    entries = []
    for image, (boxes, values) in FOUND.items():
        for bbox, score in zip(boxes, values, strict=True):
            entries.append(dict(image_id=image, bbox=bbox, category_id=7, score=score))
            if not scores:
                del entries[-1]['score']
    return entries


def dump(path):
    content = {}
    for image, (boxes, scores) in FOUND.items():
        corners = np.array(boxes, np.float32)
        corners[:, 2:] += corners[:, :2]
        content[f'train2017/{image}.jpg'] = dict(bboxes=corners, scores=np.array(scores))
    path.write_bytes(pickle.dumps(content))
    return str(path)


def coco_style(path, shift=100, **more):
    """Images under other ids than the annotation file's; their names are the same."""
    images = [dict(image, id=image['id'] + shift) for image in IMAGES]
    entries = [dict(entry, image_id=entry['image_id'] + shift) for entry in results()]
    return write_json(path, images=images, annotations=entries, **more)


def source(kind, folder):
    if kind == 'pickle':
        return dump(folder / 'src.pkl')
    if kind == 'results':
        (folder / 'src.json').write_text(json.dumps(results()))
        return str(folder / 'src.json')
    return coco_style(folder / 'src.json', info={}, categories=[])


@pytest.mark.parametrize('kind', ['pickle', 'results', 'coco'])
def test_each_kind_of_file_gives_the_same_json(kind, truth, tmp_path):
    out = tmp_path / 'made' / 'out.json'
    count = convert_proposals(source(kind, tmp_path), truth, str(out))
    assert count == ProposalCount(read=3, kept=3, images=3, filled=2, missing=())
    assert json.loads(out.read_text()) == dict(
        images=IMAGES,
        annotations=[
            proposal(1, 3, [0, 0, 30, 30], 900, 0.75),
            proposal(2, 3, [1, 2, 10, 20], 200, 0.25),
            proposal(3, 8, [4, 4, 16, 8], 128, 0.5),
        ],
        categories=[dict(id=1, name='proposal')],
    )
    data = ImageRegions(ann_file=str(out), data_prefix=dict(img=''), pipeline=[])
    boxes = [data.get_data_info(index)['boxes_xywh'].tolist() for index in range(3)]
    assert boxes == [[], [[0, 0, 30, 30], [1, 2, 10, 20]], [[4, 4, 16, 8]]]
    assert [path.name for path in out.parent.iterdir()] == ['out.json']


def proposal(number, image, bbox, area, score):
    entry = dict(id=number, image_id=image, category_id=1, bbox=bbox, area=area, iscrowd=0)
    return dict(entry, score=score)


def test_selection_and_progress(truth, tmp_path):
    seen = []

    def progress(images):
        for image in images:
            seen.append(image['id'])
            yield image

    out = tmp_path / 'out.json'
    keep = ProposalSelection(score_thr=0.3, min_size=12)
    count = convert_proposals(source('results', tmp_path), truth, str(out), keep, progress)
    assert count == ProposalCount(read=3, kept=1, images=3, filled=1, missing=())
    (entry,) = json.loads(out.read_text())['annotations']
    assert (entry['image_id'], entry['bbox']) == (3, [0, 0, 30, 30])
    assert seen == [5, 3, 8]


def test_boxes_without_scores(truth, tmp_path):
    src, out = tmp_path / 'src.json', tmp_path / 'out.json'
    src.write_text(json.dumps(results(scores=False)))
    convert_proposals(str(src), truth, str(out), ProposalSelection(max_per_img=1))
    entries = json.loads(out.read_text())['annotations']
    assert [entry['bbox'] for entry in entries] == [[1, 2, 10, 20], [4, 4, 16, 8]]
    assert not any('score' in entry for entry in entries)
    with pytest.raises(ValueError, match=r'src\.json.*\b0\.1\b'):
        convert_proposals(str(src), truth, str(out), ProposalSelection(score_thr=0.1))


def test_images_without_names_are_matched_by_id(truth, tmp_path):
    images = [dict(id=image['id']) for image in IMAGES]
    src = write_json(tmp_path / 'src.json', images=images, annotations=results())
    assert convert_proposals(src, truth, str(tmp_path / 'out.json')).filled == 2


def test_images_that_the_annotation_file_lacks_are_counted(tmp_path):
    truth = write_json(tmp_path / 'truth.json', images=IMAGES[:2])
    expected = dict(pickle=('train2017/8.jpg',), results=('image_id 8',), coco=('8.jpg',))
    for kind, missing in expected.items():
        count = convert_proposals(source(kind, tmp_path), truth, str(tmp_path / 'out.json'))
        assert count == ProposalCount(read=2, kept=2, images=2, filled=1, missing=missing)


def test_annotation_with_an_unknown_image_id_is_missing(truth, tmp_path):
    src = write_json(tmp_path / 'src.json', images=IMAGES[:2], annotations=results())
    count = convert_proposals(src, truth, str(tmp_path / 'out.json'))
    assert count.missing == ('image_id 8, which is not in images',)
    assert count.kept == 2


def test_no_common_image_raises(tmp_path):
    truth = write_json(tmp_path / 'truth.json', images=[dict(id=99, file_name='99.jpg')])
    for kind in ('pickle', 'results', 'coco'):
        with pytest.raises(ValueError, match=r'src\.\w+.*\b2\b.*\b3\b.*\b1\b.*truth\.json'):
            convert_proposals(source(kind, tmp_path), truth, str(tmp_path / 'out.json'))
    assert not (tmp_path / 'out.json').exists()


def test_two_names_of_one_image_raise(truth, tmp_path):
    content = {f'{folder}/3.jpg': np.array([[0, 0, 9, 9.0]]) for folder in 'ab'}
    (tmp_path / 'src.pkl').write_bytes(pickle.dumps(content))
    with pytest.raises(ValueError, match=r'a/3\.jpg.*b/3\.jpg.*\b3\b'):
        convert_proposals(str(tmp_path / 'src.pkl'), truth, str(tmp_path / 'out.json'))


ENTRY = dict(image_id=3, bbox=[0, 0, 9, 9], score=0.5)


@pytest.mark.parametrize(
    ('content', 'text'),
    [
        ('[{"image_id": 3, "bb', 'column 18'),
        ('"text"', r"\['images', 'annotations'\].*\bstr\b"),
        ('[]', r'\b0\b.*proposal'),
        (dict(images=IMAGES), r"'annotations'.*\['images'\]"),
        (dict(images=IMAGES, annotations=[]), r'\b0\b.*proposal'),
        ([ENTRY, dict(ENTRY, bbox=[0, 0, 9])], r'bbox.*\b1\b.*\[0, 0, 9\]'),
        ([dict(ENTRY, bbox=[0, 0, 9, float('nan')])], r'bbox.*\b0\b.*\[0, 0, 9, nan\]'),
        ([dict(image_id=3, segmentation=[])], r'\b0\b.*image_id.*bbox.*segmentation'),
        ([dict(ENTRY, image_id=[3])], r'\b0\b.*image_id.*bbox.*\[3\]'),
        ([3], r'\b0\b.*image_id.*bbox.*\b3$'),
        ([dict(ENTRY, score='high')], r"score.*\b0\b.*'high'"),
        ([ENTRY, dict(image_id=8, bbox=[0, 0, 9, 9])], r'\b1\b.*\b2\b.*score'),
        ([dict(ENTRY, bbox=[0, 0, 0, 9])], r'\b1\b.*ProposalSelection'),
    ],
)
def test_broken_files(truth, tmp_path, content, text):
    (tmp_path / 'out.json').write_text('old')
    src = tmp_path / 'src.json'
    src.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(ValueError, match=rf'src\.json.*{text}'):
        convert_proposals(str(src), truth, str(tmp_path / 'out.json'))
    assert (tmp_path / 'out.json').read_text() == 'old'


def test_missing_files(truth, tmp_path):
    for src, ann_file in (
        ('no.json', truth),
        ('no.pkl', truth),
        (truth, str(tmp_path / 'no.json')),
    ):
        with pytest.raises(FileNotFoundError, match=r'\bno\.\w+'):
            convert_proposals(src, ann_file, str(tmp_path / 'out.json'))


@pytest.mark.parametrize('scored', [True, False])
def test_the_layout_of_the_authors_gives_a_batch(tmp_path, scored):
    """COCO-style: images, annotations with bbox x, y, w, h and category_id 1, and more keys."""
    images = write_images(tmp_path / 'train2017', [(96, 64), (64, 96), (64, 64)])
    for image in images:
        image.update(license=3, coco_url='', date_captured='2013-11-14', flickr_url='')
    boxes = {0: [[8.5, 4.25, 32.5, 40.75], [40, 8, 24, 24], [0, 0, 4, 4]], 1: [[10, 20, 30, 60]]}
    annotations = [
        box(image, bbox, iscrowd=0, area=bbox[2] * bbox[3], segmentation=[], ignore=0)
        for image, rows in boxes.items()
        for bbox in rows
    ]
    for annotation in annotations if scored else []:
        annotation['score'] = 0.9
    ann_file = write_json(
        tmp_path / 'coco_proposals.json',
        info=dict(year=2017),
        licenses=[],
        images=images,
        annotations=annotations,
        categories=[dict(id=1, name='object', supercategory='object')],
    )
    data = ImageRegions(
        ann_file=ann_file,
        data_prefix=dict(img=f'{tmp_path}/train2017'),
        pipeline=training_pipeline(dict(type='ProposalRegions', min_size=8)),
    )
    batch = pseudo_collate([data[SeededIndex(index, seed=0, number=index)] for index in range(3)])
    samples = batch['data_samples']
    # The longest side, 96 or 64 px, becomes 32; the 4 x 4 box is too small; image 2 has no box.
    found = [sample.regions.boxes_px.tolist() for sample in samples]
    third = [[edge / 3 for edge in (8.5, 4.25, 41, 45)], [edge / 3 for edge in (40, 8, 64, 32)]]
    assert sorted(found[0]) == [pytest.approx(row) for row in third]
    assert found[1] == [pytest.approx([edge / 3 for edge in (10, 20, 40, 80)])]
    assert found[2] == [[0, 0, 8, 8]]
