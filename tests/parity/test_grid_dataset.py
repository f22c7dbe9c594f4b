"""Grid regions, crops and the student's image against the recorded reference."""

import numpy as np
import pytest
import torch
from PIL import Image

from clipself_mm.datasets import CropRegions, LoadRGB, PackRegions, ResizeLongest
from clipself_mm.datasets.regions import enlarge_boxes, grid_boxes, grid_choices
from clipself_mm.datasets.transforms.crop_regions import whole_pixels
from clipself_mm.distillers.region_preprocessor import RegionPreprocessor
from tests.parity.fixtures import GoldenFile
from tests.parity.photos import numbered, save_lossless

pytestmark = pytest.mark.parity


def grid_cases(config):
    """Yield (suffix of the key, rows, columns, crop scale) of every recorded case."""
    for rows, columns in config['choices']:
        yield f'm{rows}n{columns}', rows, columns, config['crop_scale']
    case = config['crop_scale_case']
    rows, columns = case['choice']
    yield (
        f'm{rows}n{columns}_cropscale{case["crop_scale"]}',
        rows,
        columns,
        case['crop_scale'],
    )


def test_grid_dataset(tmp_path):
    golden = GoldenFile('grid_dataset')
    config = golden.config
    size, crop_size, most = config['det_image_size'], config['crop_size'], config['max_boxes']
    preprocessor = RegionPreprocessor(image_size=size)

    splits = [key for key in golden.outputs if key.startswith('choices_max_split_')]
    assert splits
    for key in splits:
        golden.check(key, np.array(grid_choices(int(key.rpartition('_')[2]))))

    for number, photo in enumerate(numbered(golden.inputs, 'photo_')):
        path = tmp_path / f'p{number}.png'
        save_lossless(path, photo)
        height, width = photo.shape[:2]
        for suffix, rows, columns, crop_scale in grid_cases(config):
            key = f'p{number}.{suffix}'
            results = LoadRGB()(dict(img_path=str(path)))
            results['boxes_src'] = grid_boxes(height, width, rows, columns)[:most]
            results['crop_boxes_src'] = enlarge_boxes(
                results['boxes_src'], crop_scale, height, width
            )
            golden.check(f'{key}.pil_crop_box', results['crop_boxes_src'])
            edges = np.array([whole_pixels(b, height, width) for b in results['crop_boxes_src']])
            golden.check(f'{key}.pil_crop_size_wh', edges[:, 2:] - edges[:, :2])

            for step in (CropRegions(crop_size), ResizeLongest(size), PackRegions()):
                results = step(results)
            batch = preprocessor(
                dict(
                    inputs={name: [value] for name, value in results['inputs'].items()},
                    data_samples=[results['data_samples']],
                )
            )
            sample, inputs = batch['data_samples'][0], batch['inputs']
            golden.check(f'p{number}.new_image', inputs['images'][0])
            golden.check(f'p{number}.scale', np.float64(sample.scale))

            kept = len(sample.regions)
            boxes = torch.zeros(most, 5)
            boxes[:kept, :4] = sample.regions.boxes_px / size
            boxes[:kept, 4] = 1
            golden.check(f'{key}.boxes', boxes)
            crops = torch.zeros(most, 3, crop_size, crop_size)
            crops[:kept] = inputs['crops']
            golden.check(f'{key}.crops', crops)
    golden.finish()


def test_the_recorded_crops_are_pil_crops(tmp_path):
    """Independent check of `whole_pixels`: PIL's own crop has the same size."""
    golden = GoldenFile('grid_dataset')
    for number, photo in enumerate(numbered(golden.inputs, 'photo_')):
        image = Image.fromarray(photo)
        for suffix, *_ in grid_cases(golden.config):
            for box in golden.outputs[f'p{number}.{suffix}.pil_crop_box']:
                x0, y0, x1, y1 = whole_pixels(box, *photo.shape[:2])
                assert image.crop(tuple(box)).size == (x1 - x0, y1 - y0)
