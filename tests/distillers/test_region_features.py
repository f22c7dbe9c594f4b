"""Region features: masked attention, crops, several extractors."""

import pytest
import torch
from mmengine.structures import InstanceData

from clipself_mm.clip import build_tower
from clipself_mm.datasets import RegionSample
from clipself_mm.distillers import (
    CropFeatures,
    DenseFeatures,
    MaskedAttentionFeatures,
    RegionClassifier,
)
from clipself_mm.distillers.region_features import box_token_masks

PATCH = 8
SIDE = 32


@pytest.fixture(scope='module')
def tower(micro_clip):
    return build_tower(micro_clip).eval()


def make_batch(boxes, masks=None, seed=0):
    """Random images and crops for the boxes (and masks) of each image."""
    generator = torch.Generator().manual_seed(seed)
    samples = []
    for index, item in enumerate(boxes):
        regions = InstanceData(boxes_px=torch.tensor(item, dtype=torch.float32).reshape(-1, 4))
        if masks is not None:
            regions.masks = masks[index]
        samples.append(RegionSample(regions=regions))
    return dict(
        images=torch.randn(len(boxes), 3, SIDE, SIDE, generator=generator),
        crops=torch.randn(sum(map(len, boxes)), 3, SIDE, SIDE, generator=generator),
        samples=samples,
    )


def tokens_of(box, grid=(4, 4)):
    mask = box_token_masks(torch.tensor([box], dtype=torch.float32), grid, PATCH)
    return [tuple(index) for index in mask[0].nonzero().tolist()]


def test_box_tokens_by_hand():
    # x 4..17 touches cells 0, 1 and 2; y 9..16 lies in row 1 and ends on its edge.
    assert tokens_of([4, 9, 17, 16]) == [(1, 0), (1, 1), (1, 2)]
    assert tokens_of([8, 8, 16, 16]) == [(1, 1)]
    assert tokens_of([-3, 30, 2, 99], grid=(4, 2)) == [(3, 0)]


@pytest.mark.parametrize(
    ('box', 'token'),
    [([9, 9, 9.5, 9.5], (1, 1)), ([8, 8, 8, 8], (1, 1)), ([40, -9, 50, -2], (0, 3))],
    ids=['smaller than a cell', 'a point', 'outside'],
)
def test_a_box_has_at_least_one_token(box, token):
    assert tokens_of(box) == [token]


def test_box_tokens_are_the_cells_that_overlap_by_a_plain_loop():
    corners = torch.rand(50, 4, generator=torch.Generator().manual_seed(0)) * 40
    low, high = torch.minimum(corners[:, :2], corners[:, 2:]), torch.maximum(*corners.split(2, 1))
    boxes = torch.cat([low, high], dim=1)
    masks = box_token_masks(boxes, (5, 5), PATCH)
    for (x0, y0, x1, y1), mask in zip(boxes.tolist(), masks, strict=True):
        for row in range(5):
            for column in range(5):
                width = min(x1, column * PATCH + PATCH) - max(x0, column * PATCH)
                height = min(y1, row * PATCH + PATCH) - max(y0, row * PATCH)
                assert mask[row, column] == (width > 0 and height > 0)


def test_a_region_of_the_whole_image_is_the_image(tower):
    """The copy of the class token then attends to the same tokens as the class token."""
    whole = torch.ones(1, 4, 4, dtype=torch.bool)
    batch = make_batch([[[0, 0, 32, 32]], [[0, 0, 32, 32]]], masks=[whole, whole])
    with torch.no_grad():
        found = MaskedAttentionFeatures().extract(tower, **batch)
        expected = tower.encode_image(batch['images'])
    torch.testing.assert_close(found['masked_boxes'], expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found['masked_masks'], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('region_batch', [1, 2, 256])
def test_masked_regions_one_by_one(tower, region_batch):
    """Batch size, images without regions and `region_batch` change nothing."""
    boxes = [[[0, 0, 8, 8], [3, 3, 20, 12], [16, 8, 32, 32]], [], [[8, 0, 24, 32]]]
    generator = torch.Generator().manual_seed(1)
    masks = [torch.rand(len(item), 4, 4, generator=generator) > 0.6 for item in boxes]
    batch = make_batch(boxes, masks)
    with torch.no_grad():
        found = MaskedAttentionFeatures(region_batch).extract(tower, **batch)
        one = []
        for image, item, segments in zip(batch['images'], boxes, masks, strict=True):
            for box, segment in zip(item, segments, strict=True):
                cells = torch.zeros(1, 4, 4)
                for row, column in tokens_of(box):
                    cells[0, row, column] = 1
                one.append(
                    [tower.encode_regions_masked(image[None], [m]) for m in (cells, segment[None])]
                )
    for index, name in enumerate(('masked_boxes', 'masked_masks')):
        expected = torch.cat([pair[index] for pair in one])
        torch.testing.assert_close(found[name], expected, rtol=1e-4, atol=1e-5)
    assert not found['masked_boxes'][0].allclose(found['masked_boxes'][1], atol=1e-3)


def test_no_regions(tower):
    batch = make_batch([[], []])
    with torch.no_grad():
        found = MaskedAttentionFeatures().extract(tower, **batch)
    assert list(found) == ['masked_boxes']
    assert found['masked_boxes'].shape == (0, 16)


def test_region_batch_is_positive():
    with pytest.raises(ValueError, match=r'region_batch.*\b0\b'):
        MaskedAttentionFeatures(region_batch=0)


def test_crops_are_encoded_in_parts(tower):
    batch = make_batch([[[0, 0, 8, 8]] * 3, [[0, 0, 8, 8]] * 2])
    with torch.no_grad():
        found = CropFeatures(crop_batch=2).extract(tower, **batch)
        expected = torch.cat([tower.encode_image(crop[None]) for crop in batch['crops']])
    torch.testing.assert_close(found['crops'], expected, rtol=1e-4, atol=1e-5)
    batch['crops'] = batch['crops'][:0]
    assert CropFeatures().extract(tower, **batch) == {}


def test_wrong_number_of_crops_raises(tower):
    batch = make_batch([[[0, 0, 8, 8]] * 3])
    batch['crops'] = batch['crops'][:2]
    with pytest.raises(ValueError, match=r'\b2\b.*\b3\b'):
        CropFeatures().extract(tower, **batch)


def make_classifier(tmp_path, **options):
    classes = ['alpha', 'beta', 'gamma']
    (tmp_path / 'three.txt').write_text('\n'.join(classes))
    torch.manual_seed(0)
    torch.save(dict(zip(classes, torch.randn(3, 16), strict=True)), tmp_path / 'three.pt')
    return RegionClassifier(
        str(tmp_path / 'three.txt'), embeddings=str(tmp_path / 'three.pt'), **options
    )


def test_extractors_side_by_side(tower, tmp_path):
    masks = [torch.ones(2, 4, 4, dtype=torch.bool)]
    batch = make_batch([[[0, 0, 8, 8], [3, 3, 20, 12]]], masks)
    default = make_classifier(tmp_path).features(tower, **batch)
    assert list(default) == ['boxes', 'masks', 'crops']
    more = make_classifier(
        tmp_path, extractors=['CropFeatures', dict(type='MaskedAttentionFeatures'), 'DenseFeatures']
    )
    assert set(more.features(tower, **batch)) == {*default, 'masked_boxes', 'masked_masks'}
    (sample,) = more.classify(tower, **batch)
    assert sample.pred_regions.masked_boxes_topk.shape == (2, 3)
    assert sample.pred_regions.boxes_topk.shape == (2, 3)


def test_embeddings_of_wrong_width_raise(tower, tmp_path):
    classifier = make_classifier(tmp_path)
    torch.save({name: torch.ones(8) for name in classifier.classes}, tmp_path / 'three.pt')
    classifier.text.use_clip_of(tower, 'model.classifier.text')
    with pytest.raises(ValueError, match=r'three\.pt.*\b8\b.*\b16\b'):
        classifier.eval()


def test_default_features_are_the_dense_map_and_the_crops(tmp_path):
    dense, crops = make_classifier(tmp_path).extractors
    assert isinstance(dense, DenseFeatures)
    assert isinstance(crops, CropFeatures)


def test_two_features_of_the_same_name_raise(tower, tmp_path):
    classifier = make_classifier(tmp_path, extractors=['DenseFeatures', 'DenseFeatures'])
    with pytest.raises(ValueError, match=r"DenseFeatures.*\['boxes'\]"):
        classifier.features(tower, **make_batch([[[0, 0, 8, 8]]]))


@pytest.mark.parametrize(
    ('extractors', 'found'),
    [([], r'extractors.*\[\]'), ('DenseFeatures', "extractors.*'DenseFeatures'")],
)
def test_extractors_must_be_a_list(tmp_path, extractors, found):
    with pytest.raises(ValueError, match=found):
        make_classifier(tmp_path, extractors=extractors)
