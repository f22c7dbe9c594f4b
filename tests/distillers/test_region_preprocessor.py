import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.dataset import Compose, pseudo_collate
from mmengine.logging import MessageHub
from mmengine.registry import MODELS
from mmengine.structures import InstanceData

from clipself_mm.datasets import RegionSample
from clipself_mm.distillers.region_preprocessor import CLIP_MEAN, CLIP_STD, RegionPreprocessor


def packed(height, width, regions, crop=5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    sample = RegionSample(metainfo=dict(scale=2.0, img_shape=(height, width)))
    boxes_px = torch.rand(regions, 4, generator=generator) * 8
    sample.regions = InstanceData(boxes_px=boxes_px)
    pixels = torch.randint(0, 256, (3, height, width), generator=generator, dtype=torch.uint8)
    crops = torch.randint(0, 256, (regions, 3, crop, crop), generator=generator, dtype=torch.uint8)
    return dict(inputs=dict(image=pixels, crops=crops), data_samples=sample)


@pytest.fixture
def iteration():
    """Set seed and iteration as a runner does; restore them afterwards."""
    hub = MessageHub.get_current_instance()
    before = {key: hub.get_info(key, None) for key in ('seed', 'iter')}

    def move(seed, step):
        hub.update_info('seed', seed)
        hub.update_info('iter', step)

    yield move
    for key, value in before.items():
        hub.update_info(key, value)


def test_values_and_padding():
    data = pseudo_collate([packed(6, 8, 2), packed(8, 3, 0, seed=1)])
    originals = [image.clone() for image in data['inputs']['image']]
    batch = RegionPreprocessor(image_size=8)(data)
    images = batch['inputs']['images']
    assert images.shape == (2, 3, 8, 8)
    assert images.dtype == torch.float32
    mean, std = torch.tensor(CLIP_MEAN), torch.tensor(CLIP_STD)
    for image, original in zip(images, originals, strict=True):
        _, h, w = original.shape
        expected = (original / 255.0 - mean[:, None, None]) / std[:, None, None]
        torch.testing.assert_close(image[:, :h, :w], expected)
        padding = (-mean / std)[:, None]
        torch.testing.assert_close(image[:, h:].flatten(1), padding.expand(3, (8 - h) * 8))
        torch.testing.assert_close(image[:, :, w:].flatten(1), padding.expand(3, 8 * (8 - w)))
    # White and black: the numbers of the paper's normalisation.
    torch.testing.assert_close(
        ((1 - mean) / std).tolist(), [1.9303361, 2.0748837, 2.1458971], rtol=1e-5, atol=0
    )


def test_crops_of_all_images_are_joined_without_padding():
    data = pseudo_collate([packed(6, 8, n, seed=n) for n in (2, 0, 3)])
    crops = [c.clone() for c in data['inputs']['crops']]
    batch = RegionPreprocessor(image_size=8)(data)
    assert batch['inputs']['crops'].shape == (5, 3, 5, 5)
    assert [len(s.regions) for s in batch['data_samples']] == [2, 0, 3]
    mean, std = torch.tensor(CLIP_MEAN), torch.tensor(CLIP_STD)
    expected = (torch.cat(crops) / 255.0 - mean[:, None, None]) / std[:, None, None]
    torch.testing.assert_close(batch['inputs']['crops'], expected)


def test_a_batch_without_any_region_or_without_crops():
    batch = RegionPreprocessor(image_size=8)(pseudo_collate([packed(6, 8, 0)]))
    assert batch['inputs']['crops'].shape == (0, 3, 5, 5)
    data = pseudo_collate([packed(6, 8, 2)])
    del data['inputs']['crops']
    assert len(RegionPreprocessor(image_size=8)(data)['inputs']['crops']) == 0


def test_without_a_size_the_largest_image_decides():
    data = pseudo_collate([packed(6, 8, 1), packed(9, 3, 1)])
    assert RegionPreprocessor()(copy.deepcopy(data))['inputs']['images'].shape == (2, 3, 9, 8)
    batch = RegionPreprocessor(pad_divisor=4)(data)
    assert batch['inputs']['images'].shape == (2, 3, 12, 8)


def test_an_image_larger_than_the_size_raises():
    with pytest.raises(ValueError, match=r'6 x 9.*image_size.*8 x 8'):
        RegionPreprocessor(image_size=8)(pseudo_collate([packed(6, 9, 1)]))


def test_other_mean_and_std():
    data = pseudo_collate([packed(8, 8, 1)])
    plain = data['inputs']['image'][0].clone()
    preprocessor = MODELS.build(
        dict(type='RegionPreprocessor', image_size=8, mean=[0, 0, 0], std=[1, 1, 1])
    )
    torch.testing.assert_close(preprocessor(data)['inputs']['images'][0], plain / 255.0)
    assert not preprocessor.state_dict()


def test_multi_scale_resizes_images_and_boxes_together(iteration):
    sizes = (4, 8, 16)
    preprocessor = RegionPreprocessor(image_size=8, student_sizes=sizes)
    data = pseudo_collate([packed(6, 8, 2), packed(8, 8, 1, seed=1)])
    plain = RegionPreprocessor(image_size=8)(copy.deepcopy(data))
    seen = []
    for step in range(30):
        iteration(3, step)
        batch = preprocessor(copy.deepcopy(data), training=True)
        size = batch['inputs']['images'].shape[-1]
        seen.append(size)
        expected = F.interpolate(plain['inputs']['images'], size=(size, size), mode='bilinear')
        torch.testing.assert_close(batch['inputs']['images'], expected)
        for scaled, sample in zip(batch['data_samples'], plain['data_samples'], strict=True):
            torch.testing.assert_close(scaled.regions.boxes_px / size, sample.regions.boxes_px / 8)
            assert scaled.scale == 2.0 * size / 8
        torch.testing.assert_close(batch['inputs']['crops'], plain['inputs']['crops'])
    assert set(seen) == set(sizes)


def test_multi_scale_depends_on_seed_and_iteration_only(iteration):
    preprocessor = RegionPreprocessor(image_size=8, student_sizes=[4, 8, 16])

    def sizes(seed):
        drawn = []
        for step in range(20):
            iteration(seed, step)
            data = pseudo_collate([packed(8, 8, 1)])
            drawn.append(preprocessor(data, training=True)['inputs']['images'].shape[-1])
            np.random.seed(step)
            torch.rand(1)
        return drawn

    assert sizes(1) == sizes(1)
    assert sizes(1) != sizes(2)


def test_multi_scale_keeps_the_shape_of_images_that_are_not_square(iteration):
    iteration(0, 0)
    preprocessor = RegionPreprocessor(student_sizes=[16])
    batch = preprocessor(pseudo_collate([packed(4, 8, 1)]), training=True)
    assert batch['inputs']['images'].shape == (1, 3, 8, 16)


def test_multi_scale_is_off_outside_training(iteration):
    iteration(0, 0)
    preprocessor = RegionPreprocessor(image_size=8, student_sizes=[16])
    batch = preprocessor(pseudo_collate([packed(8, 8, 1)]))
    assert batch['inputs']['images'].shape == (1, 3, 8, 8)
    with pytest.raises(ValueError, match='student_sizes'):
        RegionPreprocessor(image_size=8, student_sizes=[])


def samples_of(backend):
    """Packed samples of two random photos, by a backend."""
    rng = np.random.default_rng(0)
    pipeline = Compose(
        [
            dict(type='SampleRegions', regions=dict(type='GridRegions')),
            dict(type='CropRegions', size=32, backend=backend),
            dict(type='ResizeLongest', size=96, backend=backend),
            dict(type='PackRegions'),
        ]
    )
    photos = [rng.integers(0, 256, (*shape, 3), np.uint8) for shape in ((60, 140), (75, 50))]
    return [
        pipeline(dict(img=photo, ori_shape=photo.shape[:2], rng_key=(0, 0, number)))
        for number, photo in enumerate(photos)
    ]


def test_the_device_cuts_and_resizes_what_pillow_would():
    preprocessor = RegionPreprocessor(image_size=96)
    pillow, device = (
        preprocessor(pseudo_collate(samples_of(backend))) for backend in ('pillow', 'device')
    )
    level = 1 / 255 / min(CLIP_STD)
    for key, expected in pillow['inputs'].items():
        found = device['inputs'][key]
        assert found.shape == expected.shape
        apart = (found - expected).abs()
        assert apart.max() <= 2.01 * level
        assert (apart > 1e-4).float().mean() < 2e-2  # 2e-4 before Pillow 13, see resize_backends
    for one, other in zip(pillow['data_samples'], device['data_samples'], strict=True):
        assert torch.equal(one.regions.boxes_px, other.regions.boxes_px)
        assert one.img_shape == other.img_shape


def test_the_source_image_travels_instead_of_the_crops():
    packed = samples_of('device')[0]['inputs']
    assert packed['image'].shape == (3, 60, 140)
    assert packed['image'].dtype == torch.uint8
    assert 'crops' not in packed
