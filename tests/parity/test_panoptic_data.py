"""Panoptic regions, from the annotation file to the batch, against the recorded reference."""

import numpy as np
import pytest
import torch
from PIL import Image

from clipself_mm.datasets.transforms.resize_region_masks import resize_mask
from clipself_mm.distillers.region_preprocessor import RegionPreprocessor
from tests.parity.fixtures import GoldenFile
from tests.parity.recorded_panoptic import dataset_of, write_files

pytestmark = pytest.mark.parity

# Bicubic weights cancel to rounding residue, whose sign decides the > 0 test there.
RESIDUE = 1e-6


def residue(masks):
    """Tell where a resized mask is rounding residue."""
    magnitudes = np.abs(np.asarray(masks))
    return (magnitudes > 0) & (magnitudes < RESIDUE)


def test_panoptic_data(tmp_path):
    golden = GoldenFile('panoptic_eval')
    config = golden.config
    size, crop_size = config['det_image_size'], config['crop_size']
    content, segment_ids = write_files(golden, tmp_path)
    plain = dataset_of(tmp_path, config)
    masked = dataset_of(tmp_path, config, mask_value=114, antialias=True)
    preprocessor = RegionPreprocessor(image_size=size)
    assert len(plain) == len(content['annotations'])

    for index, entry in enumerate(content['annotations']):
        key = f'img{entry["image_id"]}'
        segments = [segment['id'] for segment in entry['segments_info']]
        packed = plain[index]
        data = dict(
            inputs={
                'image': [packed['inputs']['image']],
                'crops': [packed['inputs']['crops']],
            },
            data_samples=[packed['data_samples']],
        )
        batch = preprocessor(data)
        regions = batch['data_samples'][0].regions
        sample = masked[index]
        data['inputs']['crops'] = [sample['inputs']['crops']]
        masked_crops = preprocessor(data)['inputs']['crops']

        template = golden.outputs[f'{key}.boxes_template']
        valid = np.flatnonzero(template[:, 5])
        rows = torch.zeros(len(segments), 8)
        rows[valid, :4] = regions.boxes_px / size
        rows[valid, 4] = regions.labels.float()
        rows[valid, 5] = 1
        boxes_src = regions.boxes_px / packed['data_samples'].scale
        rows[valid, 6] = (boxes_src[:, 2:] - boxes_src[:, :2]).prod(1)
        rows[valid, 7] = regions.is_thing.float()
        golden.check(f'{key}.boxes_template', rows)

        for name, crops in (
            ('image_crops', batch['inputs']['crops']),
            ('masked_image_crops', masked_crops),
        ):
            padded = torch.zeros(len(segments), 3, crop_size, crop_size)
            padded[valid] = crops
            golden.check(f'{key}.{name}', padded)

        grid = size // config['downsample_factor']
        recorded = residue(golden.outputs[f'{key}.gt_masks_before_threshold'])
        # The paper's torchvision had no antialias for tensors, today's release has it.
        for name, antialias, found in (
            ('gt_masks_antialias_false', False, regions),
            ('gt_masks', True, sample['data_samples'].regions),
        ):
            before, masks = torch.zeros(2, len(segments), grid, grid)
            for row in valid:
                mask = segment_ids[index] == segments[row]
                before[row] = resize_mask(mask, grid, antialias)
            masks[valid] = found.masks.float()
            unsure = residue(before) | recorded if antialias else residue(before)
            golden.check(f'{key}.{name}', masks, where=~unsure)
            if antialias:
                golden.check(f'{key}.gt_masks_before_threshold', before)
    golden.finish(
        exempt={
            name: "the model's answers, compared in test_panoptic_eval.py"
            for name in golden.outputs
            if name.startswith('run.')
        }
    )


def test_written_id_images_decode_to_the_recorded_ids(tmp_path):
    golden = GoldenFile('panoptic_eval')
    content, segment_ids = write_files(golden, tmp_path)
    for entry, ids in zip(content['annotations'], segment_ids, strict=True):
        r, g, b = Image.open(tmp_path / 'seg' / entry['file_name']).split()
        decoded = np.asarray(r, int) + 256 * np.asarray(g, int) + 65536 * np.asarray(b, int)
        np.testing.assert_array_equal(decoded, ids)
