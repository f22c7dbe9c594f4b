"""Proposals on disk: the best ones of each image, readable by CLIPSelf's proposal data set."""

import json
import logging

import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.registry import METRICS
from mmengine.structures import InstanceData

from clipself_mm.datasets import ImageRegions, UnlabelledImages
from tests.datasets.coco_files import photo
from tests.logs import logged


@pytest.fixture
def ann_file(tmp_path):
    images = [dict(id=i, file_name=f'{i}.jpg', width=100, height=80) for i in (3, 5, 8)]
    path = tmp_path / 'instances.json'
    path.write_text(json.dumps(dict(images=images, annotations=[], categories=[])))
    return path


def sample(img_id, boxes, scores):
    found = dict(bboxes=torch.tensor(boxes).reshape(-1, 4), scores=torch.tensor(scores))
    return dict(img_id=img_id, pred_instances=found)


def test_best_proposals_above_the_threshold(ann_file, tmp_path):
    out = tmp_path / 'made' / 'proposals.json'
    metric = METRICS.build(
        dict(
            type='ProposalJsonWriter',
            ann_file=str(ann_file),
            out_file=str(out),
            score_thr=0.25,
            max_per_img=2,
        )
    )
    first = [[0.0, 0.0, 10.0, 20.0], [5.0, 5.0, 25.0, 15.0], [1.0, 2.0, 4.0, 8.0]]
    metric.process({}, [sample(3, first, [0.5, 0.9, 0.4]), sample(5, [], [])])
    metric.process({}, [sample(8, [[0.0, 0.0, 50.0, 40.0], [0.0, 0.0, 9.0, 9.0]], [0.25, 0.1])])
    assert metric.evaluate(3) == {'proposals/per_image': 1.0}
    content = json.loads(out.read_text())
    assert [image['id'] for image in content['images']] == [3, 5, 8]
    found = [(a['image_id'], a['bbox'], round(a['score'], 4)) for a in content['annotations']]
    assert found == [
        (3, [5.0, 5.0, 20.0, 10.0], 0.9),
        (3, [0.0, 0.0, 10.0, 20.0], 0.5),
        (8, [0.0, 0.0, 50.0, 40.0], 0.25),
    ]
    assert [a['area'] for a in content['annotations']] == [200.0, 200.0, 2000.0]
    assert [path.name for path in out.parent.iterdir()] == ['proposals.json']
    data = ImageRegions(ann_file=str(out), data_prefix=dict(img=''), pipeline=[])
    boxes = [data.get_data_info(index)['boxes_xywh'].tolist() for index in range(3)]
    assert boxes[0] == [[5.0, 5.0, 20.0, 10.0], [0.0, 0.0, 10.0, 20.0]]
    assert boxes[1] == []


@pytest.mark.parametrize(
    ('tested', 'said'), [([3, 5, 8], []), ([5], ['2 of its 3 images were not tested'])]
)
def test_images_that_were_not_tested_are_counted(ann_file, tmp_path, tested, said):
    metric = METRICS.build(
        dict(type='ProposalJsonWriter', ann_file=str(ann_file), out_file=str(tmp_path / 'out.json'))
    )
    metric.process({}, [sample(number, [[0.0, 0.0, 9.0, 9.0]], [0.5]) for number in tested])
    with logged(logging.WARNING) as lines:
        metric.evaluate(len(tested))
    assert [text in line for text, line in zip(said, lines, strict=True)] == len(said) * [True]


def test_images_of_a_folder_without_json(tmp_path):
    """They are listed with the size they are shown at: the second lies on its side in the file."""
    folder = tmp_path / 'photos'
    (folder / 'b').mkdir(parents=True)
    photo(30, 20).save(folder / 'a.png')
    turned = photo(40, 20)
    turned.getexif()[0x0112] = 6
    turned.save(folder / 'b/c.jpg', exif=turned.getexif())
    pipeline = [
        dict(type='LoadRGB', exif='apply'),
        dict(type='SampleRegions', regions=dict(type='GridRegions', max_split=1)),
        dict(type='ResizeLongest', size=64),
        dict(type='PackRegions'),
    ]
    found = UnlabelledImages(source=str(folder), test_mode=True, pipeline=pipeline)
    out = tmp_path / 'objects.json'
    writer = Evaluator([METRICS.build(dict(type='ProposalJsonWriter', out_file=str(out)))])
    writer.dataset_meta = found.metainfo
    samples = [found[index]['data_samples'] for index in range(2)]
    for item in samples:
        box = torch.tensor([[2.0, 3.0, 18.0, 19.0]])
        item.pred_instances = InstanceData(bboxes=box, scores=torch.tensor([0.5]))
    writer.process(samples)
    assert writer.evaluate(2) == {'proposals/per_image': 1.0}
    content = json.loads(out.read_text())
    assert content['images'] == [
        dict(id='a.png', file_name='a.png', height=20, width=30),
        dict(id='b/c.jpg', file_name='b/c.jpg', height=40, width=20),
    ]
    regions = dict(type='ProposalRegions', min_size=0, fallback=False)
    pipeline[:2] = [dict(type='LoadRGB'), dict(type='SampleRegions', regions=regions)]
    trained = ImageRegions(ann_file=str(out), data_prefix=dict(img=str(folder)), pipeline=pipeline)
    for index, sides in enumerate([(20, 30), (40, 20)]):
        read = trained[index]['data_samples']
        assert read.ori_shape == sides
        boxes = read.regions.boxes_px / read.scale
        assert boxes.tolist() == [pytest.approx([2, 3, 18, 19], abs=1e-4)]


def test_missing_json(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'nowhere\.json'):
        METRICS.build(
            dict(
                type='ProposalJsonWriter',
                ann_file=str(tmp_path / 'nowhere.json'),
                out_file=str(tmp_path / 'out.json'),
            )
        )


@pytest.mark.parametrize(
    ('out', 'said'), [('made', 'made is a folder'), ('a.txt/b/c.json', r'a\.txt is no folder')]
)
def test_a_file_that_cannot_be_written_is_an_error_at_the_start(tmp_path, out, said):
    (tmp_path / 'made').mkdir()
    (tmp_path / 'a.txt').touch()
    with pytest.raises(OSError, match=rf'ProposalJsonWriter\.out_file: .*{said}'):
        METRICS.build(dict(type='ProposalJsonWriter', out_file=str(tmp_path / out)))
