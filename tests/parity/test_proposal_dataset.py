"""Proposal regions, from the annotation file to the batch, against the recorded reference."""

import numpy as np
import pytest
import torch

from clipself_mm.datasets import ImageRegions, ProposalRegions
from clipself_mm.datasets.transforms.crop_regions import whole_pixels
from clipself_mm.distillers.region_preprocessor import RegionPreprocessor
from tests.parity.fixtures import FIXTURES, GoldenFile, fixture_json
from tests.parity.photos import numbered, save_lossless

pytestmark = pytest.mark.parity


class _FileOrder:
    """Stands in for the random generator: the recorded order is that of the file."""

    @staticmethod
    def permutation(count):
        return np.arange(count)


def test_proposal_dataset(tmp_path, monkeypatch):
    golden = GoldenFile('proposal_dataset')
    config = golden.config
    size, crop_size, most = config['det_image_size'], config['crop_size'], config['max_anns']
    for number, photo in enumerate(numbered(golden.inputs, 'photo_')):
        save_lossless(tmp_path / f'p{number}.png', photo)
    limits = dict(
        min_size=config['min_size'], max_size=config['max_size'], max_regions=config['max_anns']
    )
    monkeypatch.setattr(
        'clipself_mm.datasets.transforms.sample_regions.rng_from_key', lambda key: _FileOrder()
    )
    dataset = ImageRegions(
        ann_file=str(FIXTURES / 'proposal_dataset_annotations.json'),
        data_prefix=dict(img=str(tmp_path)),
        pipeline=[
            dict(type='LoadRGB'),
            dict(type='SampleRegions', regions=dict(type='ProposalRegions', **limits)),
            dict(type='CropRegions', size=crop_size),
            dict(type='ResizeLongest', size=size),
            dict(type='PackRegions'),
        ],
    )
    preprocessor = RegionPreprocessor(image_size=size)
    images = fixture_json('proposal_dataset_annotations.json')['images']
    assert len(dataset) == len(images)

    for index in range(len(dataset)):
        packed = dataset[index]
        batch = preprocessor(
            dict(
                inputs={name: [value] for name, value in packed['inputs'].items()},
                data_samples=[packed['data_samples']],
            )
        )
        sample, inputs = batch['data_samples'][0], batch['inputs']
        key = f'img{sample.img_id}'
        golden.check(f'{key}.new_image', inputs['images'][0])
        golden.check(f'{key}.scale', np.float64(sample.scale))

        info = dict(dataset.get_data_info(index), ori_shape=sample.ori_shape)
        order = np.arange(len(info['boxes_xywh']))
        generator = np.random.default_rng(0)  # without jitter it is not used
        _, crop_boxes_src, places = ProposalRegions(**limits).select(info, order, generator)
        golden.check(f'{key}.pil_crop_box', crop_boxes_src)
        edges = np.array([whole_pixels(box, *sample.ori_shape) for box in crop_boxes_src])
        golden.check(f'{key}.pil_crop_size_wh', edges[:, 2:] - edges[:, :2])

        boxes = torch.zeros(most, 5)
        boxes[places, :4] = sample.regions.boxes_px / size
        boxes[places, 4] = 1
        golden.check(f'{key}.boxes_template', boxes)
        crops = torch.zeros(most, 3, crop_size, crop_size)
        crops[places] = inputs['crops']
        golden.check(f'{key}.image_crops', crops)
    golden.finish()
