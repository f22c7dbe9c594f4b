"""Both resize backends: common properties and their difference."""

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.registry import DATASETS
from PIL import Image
from torch.utils.data import DataLoader

from clipself_mm.datasets import CropRegions, ResizeLongest, SeededIndex
from clipself_mm.datasets.regions import grid_boxes
from clipself_mm.datasets.transforms.crop_regions import crop_regions, fit_square
from clipself_mm.datasets.transforms.crop_uncached_regions import (
    CropUncachedRegions,
    crop_recipe,
)
from clipself_mm.datasets.transforms.resize_backends import (
    longest_side_size,
    resize_backend,
    resize_by_pillow,
    resize_by_torch,
)
from clipself_mm.shapes.scenes import render_scene
from tests.commands import ROOT
from tests.datasets.coco_files import training_pipeline, write_images, write_json

BOTH = pytest.mark.parametrize('resize', [resize_by_pillow, resize_by_torch])


def smooth(height, width, seed=0):
    """Return an image without hard edges."""
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), np.uint8)
    resized = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    return np.array(resized)


def apart(one, other):
    return np.abs(np.asarray(one, np.int16) - np.asarray(other, np.int16))


def fast_pipeline(*arguments, **sizes):
    return [
        {**step, 'backend': 'torch'} if step['type'] in ('CropRegions', 'ResizeLongest') else step
        for step in training_pipeline(*arguments, **sizes)
    ]


@pytest.mark.parametrize(
    ('shape', 'size', 'expected'),
    [
        ((30, 70), 100, (43, 100)),  # 42.86
        ((70, 28), 5, (5, 2)),
        ((900, 1), 128, (128, 1)),  # 0.14, but never without a pixel
        ((4, 8), 5, (2, 5)),  # 2.5, half to even
    ],
)
def test_longest_side_size(shape, size, expected):
    assert longest_side_size(*shape, size) == expected


@BOTH
def test_equal_size_changes_nothing(resize):
    pictures = np.stack([smooth(7, 9, seed) for seed in range(3)])
    np.testing.assert_array_equal(np.stack(list(resize(pictures, 7, 9))), pictures)


@BOTH
def test_stripes_become_gray(resize):
    """Without antialiasing the result would be stripes again, or one of the two colours."""
    stripes = np.zeros((1, 64, 64, 3), np.uint8)
    stripes[:, :, ::2] = 255
    (gray,) = resize(stripes, 16, 16)
    assert apart(gray[:, 2:-2], 127.5).max() <= 2


@BOTH
@pytest.mark.parametrize('shape', [(1, 1), (1, 40), (40, 1), (2, 300)])
def test_thin_images_keep_their_colour(resize, shape):
    colour = np.array([3, 200, 255], np.uint8)
    picture = np.broadcast_to(colour, (1, *shape, 3))
    (resized,) = resize(np.array(picture), *longest_side_size(*shape, 16))
    assert max(resized.shape[:2]) == 16
    assert (resized == colour).all()


@pytest.mark.parametrize('shape', [(60, 80), (81, 80), (200, 150), (33, 300), (300, 60)])
@pytest.mark.parametrize('size', [48, 128])
def test_torch_is_within_two_levels_of_pillow(shape, size):
    pictures = np.stack([smooth(*shape, seed) for seed in range(2)])
    new = longest_side_size(*shape, size)
    difference = apart(resize_by_torch(pictures, *new), resize_by_pillow(pictures, *new))
    assert difference.max() <= 2
    # Pillow 13 begins with the columns where a picture is more than twice as high as wide.
    assert (difference > 0).mean() < (0.1 if shape[0] > 2 * shape[1] else 0.01)


def test_unknown_backend_raises():
    for build in (CropRegions, ResizeLongest):
        with pytest.raises(ValueError, match=r"backend.*\['device', 'pillow', 'torch'\].*'cv2'"):
            build(8, backend='cv2')


@BOTH
def test_squares_keep_their_order_and_are_independent(resize):
    shapes = [(8, 4), (5, 5), (8, 4), (4, 8), (5, 5), (8, 4)]
    parts = [smooth(*shape, seed) for seed, shape in enumerate(shapes)]
    together = fit_square(parts, 16, resize)
    alone = np.concatenate([fit_square([part], 16, resize) for part in parts])
    np.testing.assert_array_equal(together, alone)
    assert len({part.tobytes() for part in together}) == len(parts)
    assert not together[0][:, :, :4].any()
    assert not together[3][:, 12:].any()
    assert fit_square([], 16, resize).shape == (0, 3, 16, 16)


def test_crops_of_a_scene_are_similar_with_both_backends():
    image = render_scene(0, 500_001).image
    boxes = np.concatenate(
        [grid_boxes(*image.shape[:2], *grid) for grid in ((1, 1), (3, 2), (5, 6))]
    )
    exact = crop_regions(image, boxes, 64)
    fast = crop_regions(image, boxes, 64, resize_backend('torch'))
    difference = apart(exact, fast)
    assert 0 < difference.max() <= 3
    assert (difference > 0).mean() < 0.02


def test_masked_crops_are_similar_with_both_backends():
    image = smooth(60, 80)
    segment_map = np.zeros((60, 80), np.int32)
    segment_map[:, 30:] = 7
    sample = dict(
        img=image,
        segment_map=segment_map,
        segment_ids=[7, 0],
        crop_boxes_src=np.array([[20.0, 0, 60, 40]] * 2),
    )
    exact, fast = (
        CropRegions(40, mask_value=114, backend=name)(dict(sample))['crops']
        for name in ('pillow', 'torch')
    )
    np.testing.assert_array_equal(exact, fast)  # 40 px to 40 px
    assert (exact[0, :, :, :10] == 114).all()
    np.testing.assert_array_equal(exact[0, :, :, 10:], image[:40, 30:60].transpose(2, 0, 1))
    assert (exact[1, :, :, 10:] == 114).all()


def test_the_image_has_the_same_size_scale_and_boxes():
    sample = dict(img=smooth(30, 70), boxes_src=np.array([[0.0, 0, 70, 30]]))
    exact, fast = (ResizeLongest(100, name)(dict(sample)) for name in ('pillow', 'torch'))
    assert fast['img'].shape == (43, 100, 3)
    assert fast['img'].dtype == np.uint8
    assert fast['img'].flags.writeable
    assert apart(exact['img'], fast['img']).max() <= 2
    np.testing.assert_array_equal(exact.pop('boxes_px'), fast.pop('boxes_px'))
    assert {key: exact[key] for key in ('scale', 'img_shape', 'input_size')} == {
        key: fast[key] for key in ('scale', 'img_shape', 'input_size')
    }


@pytest.mark.parametrize('mode', ['RGB', 'L', 'LA', 'RGBA', 'P', 'I;16', '1', 'CMYK'])
@pytest.mark.parametrize('wh', [(1, 1), (1, 90), (70, 31)])
def test_the_torch_pipeline_reads_all_image_modes(tmp_path, mode, wh):
    path = str(tmp_path / ('a.tif' if mode == 'CMYK' else 'a.png'))
    if mode == 'I;16':
        Image.fromarray(np.full(wh[::-1], 65535, np.uint16)).save(path)
    else:
        Image.new('RGB', wh, (255, 255, 255)).convert(mode).save(path)
    for sampler in (dict(type='GridRegions'), dict(type='ProposalRegions')):
        pipeline = Compose(fast_pipeline(sampler, crop_size=8, size=32))
        packed = pipeline(dict(img_path=path, rng_key=(0, 0, 0), boxes_xywh=np.zeros((0, 4))))
        assert max(packed['inputs']['image'].shape) == 32
        assert (packed['inputs']['image'] == 255).all()
        assert len(packed['inputs']['crops']) == len(packed['data_samples'].regions) >= 1
        assert (packed['inputs']['crops'].amax((1, 2, 3)) == 255).all()


def test_the_torch_pipeline_does_not_depend_on_num_workers(tmp_path):
    images = write_images(tmp_path / 'images', [(90, 61), (50, 50), (64, 100), (33, 90)])
    dataset = DATASETS.build(
        dict(
            type='ImageRegions',
            ann_file=write_json(tmp_path / 'a.json', images=images, annotations=[]),
            data_prefix=dict(img=str(tmp_path / 'images')),
            pipeline=fast_pipeline(dict(type='GridRegions'), crop_size=24, size=48),
        )
    )
    indices = [SeededIndex(index, seed=3, number=1) for index in range(4)]
    batches = []
    for workers in (0, 2):
        loader = DataLoader(
            dataset, batch_size=2, sampler=indices, num_workers=workers, collate_fn=pseudo_collate
        )
        batches.append([batch['inputs'] for batch in loader])
    assert len(batches[0]) == len(batches[1]) == 2
    for one, other in zip(*batches, strict=True):
        for key in ('image', 'crops'):
            assert all(map(torch.equal, one[key], other[key]))


def test_the_documented_options_switch_both_steps():
    config = Config.fromfile(ROOT / 'configs/clipself/clipself_eva02-b16_patches_1xb2-44k_coco.py')
    steps = config.train_dataloader.dataset.pipeline
    assert [steps[number].type for number in (2, 3)] == ['CropRegions', 'ResizeLongest']
    config.merge_from_dict(
        {f'train_dataloader.dataset.pipeline.{number}.backend': 'torch' for number in (2, 3)}
    )
    steps = Compose(config.train_dataloader.dataset.pipeline).transforms
    assert [steps[number].resize for number in (2, 3)] == [resize_by_torch] * 2


def test_a_teacher_cache_distinguishes_the_backends():
    recipes = {
        crop_recipe(dict(type='CropRegions', size=8, **backend))
        for backend in ({}, dict(backend='pillow'), dict(backend='torch'))
    }
    assert len(recipes) == 2


def test_what_is_left_to_the_device_needs_the_source_image():
    results = dict(img=smooth(30, 40), crop_boxes_src=np.array([[0.0, 0, 20, 20]]))
    left = CropRegions(8, backend='device')(results)
    assert left['crop_windows'].tolist() == [[0, 0, 20, 20, 8, 8]]
    with pytest.raises(ValueError, match='ResizeLongest too'):
        ResizeLongest(32)(left)
    with pytest.raises(ValueError, match='mask_value'):
        CropRegions(8, mask_value=114, backend='device')
    with pytest.raises(ValueError, match='cuts every crop'):
        CropUncachedRegions(folder='none', size=8, backend='device')
