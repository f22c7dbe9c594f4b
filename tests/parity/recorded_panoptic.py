"""The recorded panoptic evaluation: its files, its data set, its mean class accuracy."""

import json

import numpy as np
import torch

from clipself_mm.datasets import PanopticRegions
from clipself_mm.evaluation.functional import mean_over_classes, rank_of_truth
from tests.parity.fixtures import FIXTURES, fixture_json
from tests.parity.photos import numbered, save_lossless

ANNOTATIONS = 'panoptic_eval_annotations.json'


def write_files(golden, folder):
    """Write photos, id images and the vocabulary sorted by category id, as recorded."""
    content = fixture_json(ANNOTATIONS)
    photos, ids = numbered(golden.inputs, 'photo_'), numbered(golden.inputs, 'segment_ids_')
    for image, entry, photo, segment_ids in zip(
        content['images'], content['annotations'], photos, ids, strict=True
    ):
        assert image['id'] == entry['image_id']
        save_lossless(folder / 'img' / image['file_name'], photo)
        colours = np.stack([segment_ids >> shift & 255 for shift in (0, 8, 16)], -1)
        save_lossless(folder / 'seg' / entry['file_name'], colours.astype(np.uint8))
    categories = sorted(content['categories'], key=lambda category: category['id'])
    vocabulary = dict(
        classes=[category['name'] for category in categories],
        things=[category['name'] for category in categories if category['isthing']],
    )
    (folder / 'recorded.json').write_text(json.dumps(vocabulary))
    return content, ids


def dataset_of(folder, config, mask_value=None, **mask_options):
    return PanopticRegions(
        ann_file=str(FIXTURES / ANNOTATIONS),
        data_prefix=dict(img=str(folder / 'img'), seg=str(folder / 'seg')),
        vocabulary=str(folder / 'recorded.json'),
        test_mode=True,
        pipeline=[
            dict(type='LoadRGB'),
            dict(type='LoadSegments'),
            dict(type='AnnotatedRegions', min_size=config['min_size'], max_size=config['max_size']),
            dict(type='CropRegions', size=config['crop_size'], mask_value=mask_value),
            dict(type='ResizeLongest', size=config['det_image_size']),
            dict(type='ResizeRegionMasks', patch_size=config['downsample_factor'], **mask_options),
            dict(type='PackRegions'),
        ],
    )


def accuracy(topk, labels, half_precision=False):
    """Mean class accuracy of ranked classes, (R, k), counted as the registered metric counts."""
    found = labels[rank_of_truth(topk, labels) < topk.shape[1]]
    classes = int(labels.max()) + 1
    counts = (torch.bincount(item, minlength=classes).numpy() for item in (found, labels))
    return mean_over_classes(*counts, half_precision)
