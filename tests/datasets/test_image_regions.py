import logging

import numpy as np
import pytest
from mmengine.dataset import pseudo_collate
from mmengine.logging import MMLogger
from mmengine.registry import DATASETS
from PIL import Image
from torch.utils.data import DataLoader

from clipself_mm.datasets import ImageReadError, ImageRegions, SeededIndex, SeededSampler
from tests.datasets.coco_files import box, training_pipeline, write_images, write_json

PROPOSALS = training_pipeline(dict(type='ProposalRegions'))


@pytest.fixture
def folder(tmp_path):
    """Three images with two, no and one box."""
    images = write_images(tmp_path / 'img', [(40, 30), (30, 40), (20, 20)])
    annotations = [
        box(0, [1.5, 2, 10, 11]),
        box(2, [0, 0, 20, 20], iscrowd=1),
        box(0, [3, 4, 12, 13]),
        box(99, [0, 0, 9, 9]),
    ]
    write_json(tmp_path / 'a.json', images=images, annotations=annotations, categories=[])
    return tmp_path


def dataset_of(folder, name='a.json', **options):
    return ImageRegions(name, data_root=str(folder), data_prefix=dict(img='img'), **options)


@pytest.fixture
def warnings(monkeypatch):
    seen = []

    def record(message, logger=None, level=logging.INFO):
        if level >= logging.WARNING:
            seen.append(message)

    monkeypatch.setattr('clipself_mm.datasets.image_regions.print_log', record)
    return seen


def test_boxes_keep_the_annotated_numbers(folder):
    info = [dataset_of(folder).get_data_info(index) for index in range(3)]
    assert [i['img_id'] for i in info] == [0, 1, 2]
    assert info[0]['boxes_xywh'].tolist() == [[1.5, 2, 10, 11], [3, 4, 12, 13]]
    assert info[1]['boxes_xywh'].shape == (0, 4)
    assert info[2]['boxes_xywh'].tolist() == [[0, 0, 20, 20]]
    assert (info[0]['width'], info[0]['height']) == (40, 30)
    assert info[0]['img_path'] == str(folder / 'img' / '0.png')


def test_built_from_a_config_and_collated(folder):
    dataset = DATASETS.build(
        dict(
            type='ImageRegions',
            ann_file='a.json',
            data_root=str(folder),
            data_prefix=dict(img='img'),
            pipeline=PROPOSALS,
        )
    )
    batch = pseudo_collate([dataset[SeededIndex(index)] for index in range(3)])
    assert [tuple(image.shape) for image in batch['inputs']['image']] == [
        (3, 24, 32),
        (3, 32, 24),
        (3, 32, 32),
    ]
    # As many crops as regions: nothing is padded to the largest number.
    assert [len(crops) for crops in batch['inputs']['crops']] == [2, 1, 1]
    assert [len(sample.regions) for sample in batch['data_samples']] == [2, 1, 1]
    assert batch['data_samples'][1].regions.boxes_px.tolist() == [[0, 0, 6, 8]]


def test_lvis_finds_its_images_by_url(tmp_path):
    write_images(tmp_path / 'train2017', [(8, 8)])
    url = 'http://images.cocodataset.org/train2017/0.png'
    path = write_json(
        tmp_path / 'lvis.json',
        images=[dict(id=5, coco_url=url, width=8, height=8)],
        annotations=[dict(id=1, image_id=5, bbox=[0, 0, 8, 8])],
    )
    dataset = ImageRegions(path, data_prefix=dict(img=str(tmp_path)), pipeline=PROPOSALS)
    assert dataset[SeededIndex(0)]['data_samples'].img_path == str(tmp_path / 'train2017' / '0.png')


@pytest.mark.parametrize('serialize', [True, False])
@pytest.mark.parametrize('lazy', [True, False])
def test_indices_and_lazy_init(folder, serialize, lazy):
    options = dict(pipeline=PROPOSALS, serialize_data=serialize, lazy_init=lazy)
    part = dataset_of(folder, indices=[2, 0], **options)
    assert len(part) == 2
    assert part[SeededIndex(0)]['data_samples'].img_id == 2
    assert len(dataset_of(folder, indices=2, **options)) == 2
    assert dataset_of(folder, **options).get_subset([1])[SeededIndex(0)]['data_samples'].img_id == 1


def test_regions_depend_on_the_seeded_index_only(folder):
    pipeline = training_pipeline(dict(type='GridRegions'))
    boxes = [
        dataset_of(folder, pipeline=pipeline)[index]['data_samples'].regions.boxes_px.tolist()
        for index in (
            SeededIndex(0, 7, 1),
            SeededIndex(0, 7, 1),
            SeededIndex(0, 7, 2),
            SeededIndex(0, 8, 1),
        )
    ]
    assert boxes[0] == boxes[1]
    assert boxes[0] != boxes[2]
    assert boxes[0] != boxes[3]


def test_plain_indices_warn_once(folder, warnings):
    dataset = dataset_of(folder, pipeline=PROPOSALS)
    assert dataset[0]['data_samples'].rng_key == (0, 0, 0)
    assert dataset[1]['data_samples'].rng_key == (0, 0, 1)
    assert len(warnings) == 1
    assert 'SeededSampler' in warnings[0]
    dataset_of(folder, pipeline=PROPOSALS, test_mode=True)[0]
    assert len(warnings) == 1


def test_bad_image_raises(folder):
    (folder / 'img' / '1.png').write_bytes(b'no picture')
    dataset = dataset_of(folder, pipeline=PROPOSALS)
    with pytest.raises(ImageReadError, match=r'img/1\.png'):
        dataset[SeededIndex(1)]


def test_bad_image_in_a_worker_raises(folder):
    (folder / 'img' / '1.png').unlink()
    dataset = dataset_of(folder, pipeline=PROPOSALS)
    loader = DataLoader(
        dataset,
        sampler=SeededSampler(dataset, shuffle=False),
        num_workers=1,
        collate_fn=pseudo_collate,
    )
    with pytest.raises(RuntimeError, match=r'img/1\.png'):
        list(loader)


def test_bad_images_are_skipped_and_counted(folder, warnings):
    (folder / 'img' / '1.png').unlink()
    (folder / 'img' / '2.png').write_bytes(b'')
    dataset = dataset_of(folder, pipeline=PROPOSALS, on_bad_image='skip')
    indices = [SeededIndex(index, 3, 1) for index in (0, 1, 2, 1)]
    assert [dataset[index]['data_samples'].img_id for index in indices] == [0, 0, 0, 0]
    assert dataset.bad_images == {str(folder / 'img' / name) for name in ('1.png', '2.png')}
    assert len(warnings) == 2
    assert 'img/1.png: no such file (bad image number 1 ' in warnings[0]
    assert 'img/2.png: the file is empty (bad image number 2 ' in warnings[1]


def test_the_replacement_image_has_its_own_regions(folder, warnings):
    (folder / 'img' / '2.png').unlink()
    pipeline = training_pipeline(dict(type='GridRegions'))
    dataset = dataset_of(folder, pipeline=pipeline, on_bad_image='skip')
    instead, usual = dataset[SeededIndex(2, 3, 1)], dataset[SeededIndex(0, 3, 1)]
    assert instead['data_samples'].img_id == usual['data_samples'].img_id == 0
    assert instead['data_samples'].rng_key == (3, 1, 2)
    other, same = (d['data_samples'].regions.boxes_px.tolist() for d in (instead, usual))
    assert other != same


def test_no_usable_image_raises(folder, warnings):
    for number in range(3):
        (folder / 'img' / f'{number}.png').unlink()
    dataset = dataset_of(folder, pipeline=PROPOSALS, on_bad_image='skip')
    with pytest.raises(RuntimeError, match=r'a\.json.*\b3\b.*img/0\.png'):
        dataset[SeededIndex(1)]


def test_rejected_sample_is_replaced_deterministically(folder):
    def refuse_the_first(results):
        return None if results['img_id'] == 0 else results

    dataset = dataset_of(folder, pipeline=[refuse_the_first])
    assert {dataset[SeededIndex(0, seed)]['img_id'] for seed in range(5)} == {1}
    with pytest.raises(Exception, match='None'):
        dataset_of(folder, pipeline=[refuse_the_first], test_mode=True)[0]


def test_images_of_every_mode_in_one_batch(tmp_path):
    pictures = [
        Image.new('L', (9, 9), 5),
        Image.new('RGBA', (9, 9)),
        Image.new('CMYK', (9, 9)),
        Image.new('RGB', (1, 1)),
        Image.fromarray(np.zeros((9, 9), np.uint16)),
    ]
    entries = []
    for number, picture in enumerate(pictures):
        name = f'{number}.{"jpg" if picture.mode == "CMYK" else "png"}'
        picture.save(tmp_path / name)
        entries.append(dict(id=number, file_name=name))
    box = dict(id=1, image_id=0, bbox=[0, 0, 9, 9])
    path = write_json(tmp_path / 'a.json', images=entries, annotations=[box])
    dataset = ImageRegions(path, data_prefix=dict(img=str(tmp_path)), pipeline=PROPOSALS)
    images = pseudo_collate([dataset[SeededIndex(i)] for i in range(len(pictures))])['inputs'][
        'image'
    ]
    assert {tuple(image.shape) for image in images} == {(3, 32, 32)}


@pytest.mark.parametrize(
    ('text', 'complaint'),
    [
        ('{"images": [{"id": 1', 'column 21'),
        ('[]', r"\['images'\].*\blist\b"),
        ('{"annotations": []}', r"'images'.*\['annotations'\]"),
        ('{"images": {}}', r"'images'.*\bdict\b"),
        ('{"images": []}', r"'images'.*\[\]"),
        ('{"images": [{"file_name": "a"}]}', r"'id'.*\{'file_name': 'a'\}"),
        ('{"images": [{"id": 1, "file_name": "a"}, {"id": 1, "file_name": "b"}]}', r'\bid\b.*1\b'),
        ('{"images": [{"id": 1}]}', r"\b1\b.*'file_name'.*'coco_url'"),
        (
            '{"images": [{"id": 1, "file_name": "a"}],'
            ' "annotations": [{"id": 4, "image_id": 1, "bbox": [1, 2, NaN, 3]}]}',
            r'bbox.*\b4\b.*\[1, 2, nan, 3\]',
        ),
        (
            '{"images": [{"id": 1, "file_name": "a"}],'
            ' "annotations": [{"id": 4, "image_id": 1, "bbox": [1, 2, 3]}]}',
            r'bbox.*\b4\b.*\[1, 2, 3\]',
        ),
    ],
)
def test_broken_annotation_files_raise(tmp_path, text, complaint):
    (tmp_path / 'broken.json').write_text(text)
    with pytest.raises(ValueError, match=complaint) as error:
        ImageRegions('broken.json', data_root=str(tmp_path))
    assert 'broken.json' in str(error.value)


def test_missing_annotation_file_raises(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'none\.json'):
        ImageRegions('none.json', data_root=str(tmp_path))


def test_invalid_options_raise(folder):
    with pytest.raises(ValueError, match=r"on_bad_image.*'ignore'"):
        dataset_of(folder, on_bad_image='ignore')
    with pytest.raises(ValueError, match="on_bad_image='skip'"):
        dataset_of(folder, on_bad_image='skip', test_mode=True)


def test_warnings_reach_the_current_logger(folder):
    (folder / 'img' / '0.png').unlink()
    records = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = records.append
    logger = MMLogger.get_current_instance()
    logger.addHandler(handler)
    try:
        dataset_of(folder, pipeline=PROPOSALS, on_bad_image='skip')[SeededIndex(0)]
    finally:
        logger.removeHandler(handler)
    said = [record.getMessage() for record in records]
    assert sum('img/0.png: no such file' in text for text in said) == 1
