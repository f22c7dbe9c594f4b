"""The control of object regions keeps sizes and numbers, and nothing of where boxes are."""

import numpy as np
from mmengine import Config
from mmengine.registry import TASK_UTILS

from tests.commands import ROOT


def test_boxes_are_at_random_places_inside_the_image():
    config = Config.fromfile(ROOT / 'configs/shapes/beyond/moved.py')  # imports the sampler
    mixed = config.train_dataloader.dataset.pipeline[1].regions
    sampler = TASK_UTILS.build(mixed.parts[0])
    given = np.array([[0.0, 0, 20, 30], [50, 60, 50, 40], [0, 0, 100, 100]])
    image = dict(ori_shape=(100, 120), boxes_xywh=given.copy())
    found = []
    for seed in range(200):
        boxes, crops = sampler(image, np.random.default_rng(seed))
        sides = np.sort(boxes[:, 2:] - boxes[:, :2], axis=0)
        np.testing.assert_allclose(sides, [[20, 30], [50, 40], [100, 100]])
        assert (boxes >= 0).all()
        assert (boxes <= [120, 100, 120, 100]).all()
        assert (crops[:, :2] <= boxes[:, :2]).all()
        assert (crops[:, 2:] >= boxes[:, 2:]).all()
        found.append(boxes[(boxes[:, 2] - boxes[:, 0]).argmin(), :2])
    np.testing.assert_allclose(np.mean(found, axis=0), [50, 35], atol=6)  # of 0-100 and 0-70
    np.testing.assert_array_equal(image['boxes_xywh'], given)
