"""Batches are padded to squares as in the official implementation; the pipeline sets the size."""

import copy
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from mmdet.models.data_preprocessors import DetDataPreprocessor
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.registry import MODELS, TRANSFORMS, init_default_scope
from mmengine.structures import InstanceData

CONFIGS = Path(__file__).parents[2] / 'configs/fvit'
NORM = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True)
SIDES = {
    'fvit_eva02-b16_8xb8-3e_ov-coco': 640,
    'fvit_openai-l14-336_8xb8-3e_ov-coco': 672,
    'fvit_eva02-l14-336_8xb8-3e_ov-coco': 896,
    'fvit_eva02-b16_8xb8-48e_ov-lvis': 1024,
}
DIVISORS = {640: 32, 672: 28, 896: 28, 1024: 32}


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmdet')


def image(height, width, seed=0):
    random = np.random.default_rng(seed)
    return random.integers(0, 256, (height, width, 3), np.uint8)


def run(pipeline, pixels):
    """Output of a pipeline for an image in memory."""
    results = dict(
        img=pixels,
        img_shape=pixels.shape[:2],
        ori_shape=pixels.shape[:2],
        img_path='',
        img_id=0,
        height=pixels.shape[0],
        width=pixels.shape[1],
        instances=[dict(bbox=[10, 10, 200, 200], bbox_label=0, ignore_flag=0, mask=[])],
    )
    steps = [
        step for step in pipeline if step['type'] not in ('LoadImageFromFile', 'LoadAnnotations')
    ]
    loader = TRANSFORMS.build(dict(type='LoadAnnotations', with_bbox=True))
    return Compose(steps)(loader(results))


def square(**settings):
    return MODELS.build(dict(type='SquareDataPreprocessor', **NORM, **settings))


@pytest.mark.parametrize('name', SIDES)
@pytest.mark.parametrize('split', ['train', 'test'])
def test_equals_the_padding_by_a_divisor_of_the_image_size(name, split):
    """Exactly equal to mmdet's padding with the image scale as `pad_size_divisor`."""
    side = SIDES[name]
    pipeline = Config.fromfile(CONFIGS / f'{name}.py')[f'{split}_pipeline']
    if split == 'train':  # the smallest side after jitter
        pipeline[2].update(ratio_range=(0.1, 0.1))
    shapes = [(427, 640), (500, 333), (480, 640)]
    batch = [run(pipeline, image(*shape, seed)) for seed, shape in enumerate(shapes)]
    for count in (1, 3):
        data = pseudo_collate(batch[:count])
        training = split == 'train'
        ours = square(pad_size_divisor=DIVISORS[side])(copy.deepcopy(data), training)
        theirs = DetDataPreprocessor(pad_size_divisor=side, **NORM)(data, training)
        assert ours['inputs'].shape == (count, 3, side, side)
        assert ours['inputs'].equal(theirs['inputs'])
        for mine, other in zip(ours['data_samples'], theirs['data_samples'], strict=True):
            for key in ('pad_shape', 'batch_input_shape', 'img_shape'):
                assert mine.get(key) == other.get(key)


def test_the_pipeline_alone_sets_the_size(tmp_path):
    """With 320 px in the pipelines the model pads to 320 px."""
    child = tmp_path / 'smaller.py'
    text = (CONFIGS / 'fvit_eva02-l14-336_8xb8-3e_ov-coco.py').read_text()
    base = 'fvit_eva02-b16_8xb8-3e_ov-coco.py'
    text = text.replace('(896, 896)', '(320, 320)').replace(f'./{base}', str(CONFIGS / base))
    child.write_text(text)
    config = Config.fromfile(child)
    preprocessor = square(pad_size_divisor=32)
    for split in ('train', 'test'):
        data = pseudo_collate([run(config[f'{split}_pipeline'], image(300, 500))])
        assert preprocessor(data, split == 'train')['inputs'].shape == (1, 3, 320, 320)


def test_the_side_is_a_multiple_of_the_divisor():
    data = dict(inputs=[torch.zeros(3, 70, 50, dtype=torch.uint8)], data_samples=None)
    assert square(pad_size_divisor=32)(data)['inputs'].shape == (1, 3, 96, 96)
    stacked = dict(inputs=torch.zeros(2, 3, 50, 70), data_samples=None)
    assert square(pad_size_divisor=28)(stacked)['inputs'].shape == (2, 3, 84, 84)
    small = dict(inputs=[torch.zeros(3, 20, 30)], data_samples=None)
    preprocessor = square(pad_size_divisor=16)
    preprocessor(data)
    assert preprocessor(small)['inputs'].shape == (1, 3, 32, 32)  # independent of the last batch


@pytest.mark.parametrize('shape', [(1, 20, 30), (4, 20, 30), (20, 30, 3), (20, 30)])
def test_other_than_three_channels_raises(shape):
    right = torch.zeros(3, 20, 30, dtype=torch.uint8)
    data = dict(inputs=[right, torch.zeros(shape, dtype=torch.uint8)], data_samples=None)
    with pytest.raises(ValueError, match=r'\(3, H, W\), got ' + re.escape(str(shape))):
        square()(data)


@pytest.mark.parametrize(
    ('pixels', 'found'),
    [
        (torch.full((3, 20, 30), 0.9), r'0\.9'),
        (torch.ones(3, 20, 30, dtype=torch.float64), '1'),
        (torch.full((3, 20, 30), 65535.0), '6.55'),
        (torch.full((3, 20, 30), torch.nan), 'nan'),
        (torch.full((3, 20, 30), torch.inf), 'inf'),
    ],
)
def test_floats_outside_0_to_255_raise(pixels, found):
    data = dict(inputs=[pixels, torch.zeros(3, 20, 30, dtype=torch.uint8)], data_samples=None)
    for training in (False, True):
        with pytest.raises(ValueError, match=f'0-255, got .*maximum of {found}.*255'):
            square()(data, training)


def test_dark_images_and_floats_in_0_to_255_are_right():
    dark, bright = (torch.full((3, 20, 30), value) for value in (0.9, 200.0))
    black, ones = dark * 0, torch.ones(3, 20, 30, dtype=torch.uint8)
    out = square()(dict(inputs=[bright, black, ones], data_samples=None))['inputs']
    integers = [image.to(torch.uint8) for image in (bright, black, ones)]
    assert out.equal(square()(dict(inputs=integers, data_samples=None))['inputs'])
    square()(dict(inputs=[bright, dark], data_samples=None), training=True)  # a crop may be dark
    with pytest.raises(ValueError, match='maximum of'):
        square()(dict(inputs=[bright, dark], data_samples=None))
    other = MODELS.build(dict(type='SquareDataPreprocessor'))  # the pipeline normalises
    assert other(dict(inputs=[dark], data_samples=None))['inputs'].max() == dark.max()


def test_masks_are_padded_with_the_image():
    sample = DetDataSample(metainfo=dict(img_shape=(20, 30), canvas=64))
    masks = BitmapMasks(np.ones((1, 20, 30), np.uint8), 20, 30)
    sample.gt_instances = InstanceData(masks=masks, bboxes=torch.zeros(1, 4))
    data = dict(inputs=[torch.zeros(3, 20, 30)], data_samples=[sample])
    out = square(pad_size_divisor=32, pad_mask=True)(data, training=True)
    assert out['data_samples'][0].gt_instances.masks.masks.shape == (1, 64, 64)


def test_an_image_larger_than_the_square_raises():
    sample = DetDataSample(metainfo=dict(canvas=64))
    data = dict(inputs=[torch.zeros(3, 20, 80)], data_samples=[sample])
    with pytest.raises(ValueError, match=r'\b80\b.*\b64\b.*SquareCrop'):
        square(pad_size_divisor=16)(data, training=True)


def test_a_crop_that_is_not_square_raises():
    with pytest.raises(ValueError, match=r'SquareCrop.*crop_size.*\(640, 480\)'):
        TRANSFORMS.build(dict(type='SquareCrop', crop_size=(640, 480)))


def test_a_crop_that_leaves_no_box():
    """As in mmdet: None, so the data set loads another image."""
    crop = TRANSFORMS.build(dict(type='SquareCrop', crop_size=(64, 64)))
    step = TRANSFORMS.build(dict(type='LoadAnnotations', with_bbox=True))
    pixels = image(400, 400)
    results = dict(img=pixels, img_shape=(400, 400), instances=[])
    results['instances'] = [dict(bbox=[0, 0, 1, 1], bbox_label=0, ignore_flag=0)]
    np.random.seed(0)
    assert crop(step(results)) is None


def test_boxes_and_pixels_of_the_crop_are_mmdets():
    loader = TRANSFORMS.build(dict(type='LoadAnnotations', with_bbox=True))
    instances = [dict(bbox=[50, 60, 350, 340], bbox_label=3, ignore_flag=0)]
    settings = dict(crop_size=(200, 200), recompute_bbox=True, allow_negative_crop=True)
    kinds = dict(SquareCrop={}, RandomCrop=dict(crop_type='absolute'))
    cropped = []
    for kind, more in kinds.items():
        np.random.seed(0)
        results = loader(dict(img=image(400, 400), img_shape=(400, 400), instances=instances))
        cropped.append(TRANSFORMS.build(dict(type=kind, **settings, **more))(results))
    ours, theirs = cropped
    assert ours.pop('canvas') == 200
    assert ours.keys() == theirs.keys()
    assert np.array_equal(ours['img'], theirs['img'])
    assert ours['gt_bboxes'].tensor.equal(theirs['gt_bboxes'].tensor)
