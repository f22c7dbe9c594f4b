"""The metric by hand, errors, two processes."""

import json
import sys
from pathlib import Path

import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.logging import MMLogger
from mmengine.registry import METRICS
from mmengine.structures import BaseDataElement, InstanceData

from clipself_mm.evaluation import RegionClassificationMetric
from tests.commands import call
from tests.evaluation import two_process_metric

CLASSES = ('cat', 'dog', 'car', 'sky', 'sea', 'sand')
CHILD = Path(two_process_metric.__file__)


def sample(labels, is_thing, name='a.jpg', **topk):
    element = BaseDataElement(metainfo={'img_path': name})
    element.regions = InstanceData(
        labels=torch.tensor(labels, dtype=torch.int64),
        is_thing=torch.tensor(is_thing, dtype=torch.bool),
    )
    element.pred_regions = InstanceData(
        **{f'{name}_topk': torch.tensor(ranked, dtype=torch.int64) for name, ranked in topk.items()}
    )
    return element


def evaluator(**config):
    metric = METRICS.build({'type': 'RegionClassificationMetric', **config})
    built = Evaluator([metric])
    built.dataset_meta = {'classes': CLASSES}
    return built


def evaluate(samples, **config):
    judge = evaluator(**config)
    judge.process(samples)
    return judge.evaluate(len(samples))


def test_by_hand():
    cat_first = [0, 1, 2, 3, 4]
    sky_first = [3, 4, 5, 0, 1]
    first = sample(
        [0, 1, 3],
        [True, True, False],
        boxes=[cat_first, cat_first, cat_first],
        masks=[cat_first, cat_first, sky_first],
        crops=[cat_first, [1, 0, 2, 3, 4], cat_first],
    )
    second = sample(
        [0, 5],
        [True, False],
        boxes=[sky_first, sky_first],
        masks=[[5, 4, 3, 2, 1], sky_first],
        crops=[cat_first, cat_first],
    )
    assert evaluate([first, second]) == {
        # cats: one of two first, both within five; the dog only within five.
        'region/boxes/top1': 25.0,
        'region/boxes/top5': 100.0,
        'region/thing_masks/top1': 25.0,
        'region/thing_masks/top5': 75.0,
        # sky right; sand third.
        'region/stuff_masks/top1': 50.0,
        'region/stuff_masks/top5': 100.0,
        'region/image_crops/top1': 100.0,
        'region/image_crops/top5': 100.0,
    }


def test_rounding_as_in_the_official_implementation():
    """One of three: 1 / 3 in half precision is 0.333251953125."""
    ranked = [[0, 1, 2, 3, 4], [1, 0, 2, 3, 4], [1, 0, 2, 3, 4]]
    metrics = evaluate([sample([0, 0, 0], [True] * 3, boxes=ranked)], half_precision=True)
    assert metrics == {'region/boxes/top1': 33.3251953125, 'region/boxes/top5': 100.0}


def test_missing_features_have_no_keys():
    metrics = evaluate([sample([0], [True], boxes=[[0, 1, 2, 3, 4]])])
    assert metrics == {'region/boxes/top1': 100.0, 'region/boxes/top5': 100.0}


def test_image_without_regions_changes_nothing():
    full = sample([0], [True], boxes=[[0, 1, 2, 3, 4]])
    empty = sample([], [])
    empty.pred_regions.boxes_topk = torch.zeros(0, 5, dtype=torch.int64)
    assert evaluate([empty, full]) == evaluate([full])


def test_other_ranks_and_prefix():
    metrics = evaluate([sample([2], [True], boxes=[[0, 1, 2]])], topk=(1, 2, 3), prefix='original')
    assert metrics == {
        'original/boxes/top1': 0.0,
        'original/boxes/top2': 0.0,
        'original/boxes/top3': 100.0,
    }


def test_small_vocabulary_ranks_all_its_classes():
    metric = RegionClassificationMetric()
    metric.dataset_meta = {'classes': ('cat', 'dog')}
    metric.process(None, [sample([1], [True], boxes=[[0, 1]]).to_dict()])
    assert metric.evaluate(1) == {'region/boxes/top1': 0.0, 'region/boxes/top5': 100.0}


def test_other_extractors_keep_their_prefix():
    right, wrong = [0, 1, 2, 3, 4], [5, 4, 3, 2, 1]
    metrics = evaluate(
        [
            sample(
                [0, 3],
                [True, False],
                masked_boxes=[right, right],
                masked_masks=[wrong, [3, 0, 1, 2, 4]],
            )
        ]
    )
    assert metrics == {
        'region/masked_boxes/top1': 100.0,
        'region/masked_boxes/top5': 100.0,
        'region/masked_thing_masks/top1': 0.0,
        'region/masked_thing_masks/top5': 0.0,
        'region/masked_stuff_masks/top1': 100.0,
        'region/masked_stuff_masks/top5': 100.0,
    }


def test_predictions_of_unknown_name_raise():
    with pytest.raises(
        ValueError, match=r'a\.jpg.*boxes_topk, masks_topk.*crops_topk.*points_topk'
    ):
        evaluate([sample([0], [True], points=[[0, 1, 2, 3, 4]])])


def test_the_logged_table_has_a_row_per_extractor(caplog):
    """As the paper's Table A1: image crops first, in the column of boxes."""
    cat_first, sky_first = [0, 1, 2, 3, 4], [3, 4, 5, 0, 1]
    ranked = [cat_first, cat_first, cat_first]
    fields = dict(
        masked_boxes=[sky_first, cat_first, cat_first],
        masks=[cat_first, sky_first, sky_first],
        boxes=ranked,
        crops=[cat_first, [1, 0, 2, 3, 4], cat_first],
    )
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    evaluate([sample([0, 1, 3], [True, True, False], **fields)])
    logger.removeHandler(caplog.handler)
    title, head, line, *rows, counts = caplog.text.splitlines()[-7:]
    assert title.endswith('mean class accuracy top-1 / top-5 in %')
    assert head.split() == ['features', 'boxes', 'thing', 'masks', 'stuff', 'masks']
    assert set(line) == {'-'}
    assert [' '.join(row.split()) for row in (*rows, counts)] == [
        'image crops 100.00 / 100.00 - -',
        'dense features 50.00 / 100.00 50.00 / 100.00 100.00 / 100.00',
        'masked attention 0.00 / 100.00 - -',
        'regions / classes 2 / 2 2 / 2 1 / 1',
    ]


@pytest.mark.parametrize(
    ('broken', 'message'),
    [
        (sample([6], [True], 'b.jpg', boxes=[[0, 1, 2, 3, 4]]), r'labels.*b\.jpg.*\b6\b.*\b6\b'),
        (sample([-1], [True], 'b.jpg', boxes=[[0, 1, 2, 3, 4]]), r'labels.*b\.jpg.*-1\b.*\b6\b'),
        (
            sample([0], [True], 'b.jpg', boxes=[[0, 1, 2, 3, 9]]),
            r'boxes_topk.*b\.jpg.*\b9\b.*\b6\b',
        ),
        (sample([0], [True], 'b.jpg', boxes=[[0, 1, 2, 3]]), r'boxes_topk.*\(1, 4\).*\(1, >= 5\)'),
    ],
)
def test_indices_out_of_range_raise(broken, message):
    with pytest.raises(ValueError, match=message):
        evaluate([broken])


def test_predictions_of_wrong_length_raise():
    broken = sample([0, 1], [True, True], boxes=[[0, 1, 2, 3, 4]] * 2).to_dict()
    broken['pred_regions']['boxes_topk'] = broken['pred_regions']['boxes_topk'][:1]
    with pytest.raises(ValueError, match=r'boxes_topk.*a\.jpg.*\(1, 5\).*\(2, >= 5\)'):
        evaluator().process([broken])


@pytest.mark.parametrize(('is_thing', 'message'), [(False, 'boxes.*thing'), (True, 'stuff_masks')])
def test_no_region_of_a_kind_raises(is_thing, message):
    ranked = [[0, 1, 2, 3, 4]]
    with pytest.raises(ValueError, match=message):
        evaluate([sample([0], [is_thing], boxes=ranked, masks=ranked)])


def test_no_prediction_raises():
    with pytest.raises(ValueError, match=r'\b1\b.*boxes_topk, masks_topk.*crops_topk'):
        evaluate([sample([0], [True])])


def test_features_of_some_images_only_raise():
    ranked = [[0, 1, 2, 3, 4]]
    samples = [
        sample([0], [True], 'a.jpg', boxes=ranked, crops=ranked),
        sample([0], [True], 'b.jpg', boxes=ranked),
    ]
    with pytest.raises(ValueError, match=r"b\.jpg.*\['boxes_topk'\].*crops_topk"):
        evaluate(samples)


def test_missing_class_names_raise():
    metric = RegionClassificationMetric()
    metric.dataset_meta = {'palette': []}
    with pytest.raises(ValueError, match=r"RegionClassificationMetric.*\['palette'\]"):
        metric.process(None, [sample([0], [True], boxes=[[0, 1, 2, 3, 4]]).to_dict()])


@pytest.mark.slow
def test_two_processes_give_the_digits_of_one(tmp_path):
    out = tmp_path / 'metrics.json'
    call([sys.executable, CHILD, out], tmp_path)
    # An odd number of images: the sampler hands one of them to both processes.
    assert two_process_metric.IMAGES % 2
    one = two_process_metric.evaluate()
    assert len(one) == 8
    assert json.loads(out.read_text()) == one
