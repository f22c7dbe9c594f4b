"""Proposals on disk: the best ones of each image, readable by CLIPSelf's proposal data set."""

import json

import pytest
import torch
from mmengine.registry import METRICS

from clipself_mm.datasets import ImageRegions


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


def test_missing_json(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'nowhere\.json'):
        METRICS.build(
            dict(
                type='ProposalJsonWriter',
                ann_file=str(tmp_path / 'nowhere.json'),
                out_file=str(tmp_path / 'out.json'),
            )
        )
