import numpy as np
import pytest
import torch
from mmengine.dataset import Compose
from PIL import Image

from clipself_mm.datasets import (
    AnnotatedRegions,
    CropRegions,
    ImageReadError,
    LoadSegments,
    PackRegions,
    ResizeLongest,
    ResizeRegionMasks,
    SampleRegions,
)
from clipself_mm.datasets.transforms.crop_regions import crop_regions, whole_pixels
from clipself_mm.datasets.transforms.load_segments import segment_extent, segment_ids_of
from clipself_mm.datasets.transforms.resize_region_masks import resize_mask
from tests.datasets.coco_files import photo, training_pipeline


@pytest.mark.parametrize(
    ('box', 'edges'),
    [
        ([0.5, 1.5, 2.5, 3.5], (0, 2, 2, 4)),  # halves to even
        ([0.0, 0.0, 0.2, 5.0], (0, 0, 1, 5)),  # never without a pixel
        ([9.8, 0.0, 10.0, 5.0], (9, 0, 10, 5)),
        ([10.0, 7.0, 10.0, 7.0], (9, 6, 10, 7)),
        ([-1.0, -1.0, 11.0, 8.0], (0, 0, 10, 7)),
    ],
)
def test_crop_corners(box, edges):
    assert whole_pixels(np.array(box), height=7, width=10) == edges


def test_crop_is_centred_and_the_odd_pixel_goes_right_and_below():
    white = Image.new('RGB', (40, 30), (255, 255, 255))
    boxes = np.array([[0.0, 0, 8, 5], [0, 0, 5, 8]])
    wide, tall = crop_regions(white, boxes, 8)
    assert wide.shape == (3, 8, 8)
    assert wide[0, :, 0].tolist() == [0, 255, 255, 255, 255, 255, 0, 0]
    assert tall[0, 0].tolist() == [0, 255, 255, 255, 255, 255, 0, 0]


def test_crop_shows_the_box_and_nothing_else():
    image = photo(20, 20)
    crop = crop_regions(image, np.array([[4.0, 6, 12, 14]]), 8)[0]
    np.testing.assert_array_equal(crop.transpose(1, 2, 0), np.asarray(image)[6:14, 4:12])
    expected = image.crop((4, 6, 12, 14)).resize((16, 16), Image.Resampling.BICUBIC)
    crop = crop_regions(image, np.array([[4.0, 6, 12, 14]]), 16)[0]
    np.testing.assert_array_equal(crop.transpose(1, 2, 0), np.asarray(expected))


def test_thin_crops_keep_one_pixel():
    white = Image.new('RGB', (400, 3), (255, 255, 255))
    crop = crop_regions(white, np.array([[0.0, 0, 400, 1]]), 16)[0]
    assert (crop[0] == 255).sum(0).tolist() == [1] * 16
    assert crop.shape == (3, 16, 16)


def test_no_region_gives_no_crop():
    results = dict(img=np.zeros((4, 4, 3), np.uint8), crop_boxes_src=np.zeros((0, 4)))
    assert CropRegions(8)(results)['crops'].shape == (0, 3, 8, 8)
    masked = dict(results, segment_ids=[], segment_map=np.zeros((4, 4)))
    assert CropRegions(8, mask_value=114)(masked)['crops'].shape == (0, 3, 8, 8)


def test_masked_crop_hides_the_other_segments():
    image = np.full((4, 4, 3), 9, np.uint8)
    segment_map = np.array([[1, 2, 2, 2]] * 4)
    results = dict(
        img=image,
        segment_map=segment_map,
        segment_ids=[2, 1],
        crop_boxes_src=np.array([[0.0, 0, 4, 4]] * 2),
    )
    crops = CropRegions(4, mask_value=114)(results)['crops']
    assert crops[0, 0, 0].tolist() == [114, 9, 9, 9]
    assert crops[1, 2, 3].tolist() == [9, 114, 114, 114]
    assert (image == 9).all()


def test_crops_come_from_the_source_image():
    results = ResizeLongest(8)(dict(img=np.zeros((4, 4, 3), np.uint8)))
    with pytest.raises(ValueError, match=r'CropRegions.*ResizeLongest'):
        CropRegions(8)(dict(results, crop_boxes_src=np.zeros((0, 4))))


@pytest.mark.parametrize(
    ('wh', 'resized'),
    [((50, 100), (64, 128)), ((201, 100), (128, 64)), ((3, 3), (128, 128)), ((1, 900), (1, 128))],
)
def test_longest_side(wh, resized):
    width, height = wh
    found = ResizeLongest(128)(dict(img=np.zeros((height, width, 3), np.uint8)))
    assert found['img_shape'] == resized[::-1]


def test_scale_is_exact_although_the_short_side_is_rounded():
    image = np.zeros((30, 70, 3), np.uint8)
    results = ResizeLongest(100)(dict(img=image, boxes_src=np.array([[0.0, 0, 70, 30]])))
    assert results['img_shape'] == (43, 100)  # 42.86
    assert results['scale'] == 100 / 70
    assert results['boxes_px'].dtype == np.float32
    np.testing.assert_allclose(results['boxes_px'], [[0, 0, 100, 300 / 7]], rtol=1e-6)


def test_regions_depend_on_rng_key_only():
    step = SampleRegions(dict(type='GridRegions'))
    boxes = [
        step(dict(ori_shape=(60, 60), rng_key=key))['boxes_src'].tolist()
        for key in [(0, 0, 1), (0, 0, 1), (0, 1, 1), (0, 0, 2), (1, 0, 1)]
    ]
    assert boxes[0] == boxes[1]
    assert all(boxes[0] != other for other in boxes[2:])


def test_the_pipeline_on_one_pixel(tmp_path):
    path = str(tmp_path / 'a.png')
    Image.new('RGB', (1, 1), (255, 255, 255)).save(path)
    for sampler in (dict(type='GridRegions'), dict(type='ProposalRegions')):
        pipeline = Compose(training_pipeline(sampler, crop_size=8, size=32))
        packed = pipeline(dict(img_path=path, rng_key=(0, 0, 0), boxes_xywh=np.zeros((0, 4))))
        assert packed['inputs']['image'].shape == (3, 32, 32)
        assert (packed['inputs']['image'] == 255).all()
        assert len(packed['inputs']['crops']) == len(packed['data_samples'].regions) >= 1
        assert (packed['inputs']['crops'] == 255).all()


def test_packing():
    results = dict(
        img=np.arange(24, dtype=np.uint8).reshape(2, 4, 3),
        crops=np.zeros((1, 3, 5, 5), np.uint8),
        boxes_px=np.array([[0, 0, 1, 2]], np.float32),
        labels=np.array([3]),
        is_thing=np.array([True]),
        masks=torch.ones(1, 2, 2, dtype=torch.bool),
        img_id=7,
        img_path='a/7.png',
        ori_shape=(20, 40),
        img_shape=(2, 4),
        scale=0.1,
        rng_key=(1, 2, 3),
        boxes_src=None,
    )
    packed = PackRegions()(results)
    image, crops = packed['inputs']['image'], packed['inputs']['crops']
    assert image.dtype == crops.dtype == torch.uint8
    assert image[:, 1, 2].tolist() == [18, 19, 20]
    assert crops.shape == (1, 3, 5, 5)
    sample = packed['data_samples']
    assert sample.metainfo == dict(
        img_id=7,
        img_path='a/7.png',
        ori_shape=(20, 40),
        img_shape=(2, 4),
        scale=0.1,
        rng_key=(1, 2, 3),
    )
    regions = sample.regions
    assert (regions.boxes_px.dtype, regions.labels.dtype) == (torch.float32, torch.int64)
    assert regions.is_thing.tolist() == [True]
    assert regions.masks.shape == (1, 2, 2)
    assert set(regions.keys()) == {'boxes_px', 'labels', 'is_thing', 'masks'}


def test_packing_no_region_and_no_crops():
    packed = PackRegions()(
        dict(img=np.zeros((2, 2, 3), np.uint8), boxes_px=np.zeros((0, 4), np.float32))
    )
    assert 'crops' not in packed['inputs']
    assert packed['data_samples'].regions.boxes_px.shape == (0, 4)


def test_id_image():
    colours = np.array([[[1, 0, 0], [0, 1, 0], [0, 0, 1], [255, 255, 255]]], np.uint8)
    assert segment_ids_of(colours).tolist() == [[1, 256, 65536, 2**24 - 1]]


def test_extent_has_an_exclusive_maximum():
    mask = np.zeros((10, 10), bool)
    mask[2:6, 3] = mask[4, 3:9] = True
    assert segment_extent(mask).tolist() == [3, 2, 5, 3]  # columns 3..8, rows 2..5


@pytest.fixture
def panoptic(tmp_path):
    """A 12 x 10 image, one thing (id 300) on one stuff segment (id 7)."""
    segment_map = np.full((10, 12), 7)
    segment_map[2:6, 1:6] = 300
    colours = np.stack([segment_map % 256, segment_map // 256, segment_map * 0], -1)
    Image.fromarray(colours.astype(np.uint8)).save(tmp_path / 's.png')
    return dict(
        img=np.zeros((10, 12, 3), np.uint8),
        img_path='photo.jpg',
        ori_shape=(10, 12),
        seg_map_path=str(tmp_path / 's.png'),
        segment_ids=[7, 300],
        boxes_xywh=np.array([[0.0, 0, 5, 5], [1, 2, 5, 4]]),
        labels=np.array([4, 1]),
        is_thing=np.array([False, True]),
    )


def test_boxes_of_stuff_are_measured_and_of_things_annotated(panoptic):
    annotated = panoptic['boxes_xywh'].copy()
    results = LoadSegments()(dict(panoptic))
    assert results['boxes_xywh'].tolist() == [[0, 0, 11, 9], [1, 2, 5, 4]]
    np.testing.assert_array_equal(panoptic['boxes_xywh'], annotated)
    assert (results['segment_map'] == 300).sum() == 20


def test_broken_id_images_raise(panoptic, tmp_path):
    with pytest.raises(ImageReadError, match=r's\.png.*\b8\b'):
        LoadSegments()(dict(panoptic, segment_ids=[8, 300]))
    with pytest.raises(ImageReadError, match=r's\.png.*12 x 10.*12 x 11'):
        LoadSegments()(dict(panoptic, ori_shape=(11, 12)))
    Image.new('L', (12, 10)).save(tmp_path / 'l.png')
    with pytest.raises(ImageReadError, match=r'l\.png.*\bRGB\b.*\bL\b'):
        LoadSegments()(dict(panoptic, seg_map_path=str(tmp_path / 'l.png')))
    with pytest.raises(ImageReadError, match=r'none\.png'):
        LoadSegments()(dict(panoptic, seg_map_path=str(tmp_path / 'none.png')))


def test_annotated_regions(panoptic):
    results = AnnotatedRegions(min_size=0)(LoadSegments()(dict(panoptic)))
    assert results['boxes_src'].tolist() == [[0, 0, 11, 9], [1, 2, 6, 6]]
    # Stuff: its box; the thing: 1.5 times about (3.5, 4), clipped at the left.
    assert results['crop_boxes_src'].tolist() == [[0, 0, 11, 9], [0, 1, 7.25, 7]]
    small = AnnotatedRegions(min_size=5)(LoadSegments()(dict(panoptic)))
    assert small['labels'].tolist() == [4]
    assert small['is_thing'].tolist() == [False]
    assert list(small['segment_ids']) == [7]
    first = AnnotatedRegions(min_size=5, max_regions=0)(LoadSegments()(dict(panoptic)))
    assert first['boxes_src'].shape == first['crop_boxes_src'].shape == (0, 4)


def test_masks_on_the_token_grid(panoptic):
    pipeline = [LoadSegments(), AnnotatedRegions(0), ResizeLongest(48), ResizeRegionMasks(4)]
    results = dict(panoptic)
    for step in pipeline:
        results = step(results)
    masks = results['masks']
    assert masks.shape == (2, 12, 12)  # one token per source pixel, two rows of padding
    assert masks.dtype == torch.bool
    np.testing.assert_array_equal(masks[1, :10], results['segment_map'] == 300)
    assert not masks[:, 10:].any()
    with pytest.raises(ImageReadError, match=r's\.png.*\b5\b'):
        ResizeRegionMasks(4)(dict(results, segment_ids=[5]))


def test_mask_of_half_the_image_halved():
    mask = np.zeros((4, 8), bool)
    mask[:, :4] = True
    resized = resize_mask(mask, grid=4, antialias=False)
    assert resized.shape == (4, 4)
    assert resized[2:].abs().max() == 0
    # Bicubic at the middle between two pixels: (-3/32, 19/32, 19/32, -3/32).
    expected = torch.tensor([1.0, 35 / 32, -3 / 32, 0.0])
    torch.testing.assert_close(resized[0], expected)
    torch.testing.assert_close(resized[1], expected)
