"""Every data set of mm reads pictures by one reader: the right frame, or one error."""

import cv2
import numpy as np
import pytest
from mmengine.dataset import pseudo_collate
from torch.utils.data import DataLoader

from clipself_mm.datasets import ImageReadError
from tests.datasets.coco_files import photo
from tests.datasets.image_doors import DOORS, build_door
from tests.datasets.image_files import broken_picture, write_oriented


@pytest.fixture(params=DOORS)
def door(request):
    if DOORS[request.param] == 'mmseg':
        pytest.importorskip('mmseg')
        import clipself_mm.segmentation
    if request.param == 'OpenVocabPanopticDataset':
        pytest.importorskip('panopticapi')
        import clipself_mm.panoptic  # noqa: F401
    return request.param


@pytest.mark.parametrize('turned', [False, True])
def test_the_frame_is_the_annotated_one(tmp_path, door, turned):
    path = write_oriented(tmp_path / 'a.jpg', (64, 48), 6)
    flag = cv2.IMREAD_COLOR | (0 if turned else cv2.IMREAD_IGNORE_ORIENTATION)
    size = (48, 64) if turned else (64, 48)
    for test_mode in (False, True):
        sample = build_door(door, tmp_path, size, test_mode)[0]
        np.testing.assert_array_equal(sample['img'], cv2.imread(path, flag))
        assert sample['ori_shape'] == size[::-1]


def test_another_size_raises(tmp_path, door):
    photo(32, 24).save(tmp_path / 'a.jpg')  # halved
    for test_mode in (False, True):
        with pytest.raises(ImageReadError, match=r'a\.(jpg|png)') as caught:
            build_door(door, tmp_path, (64, 48), test_mode)[0]
        for part in ('a.jpg', '64 x 48', '32 x 24'):
            assert part in str(caught.value)


@pytest.mark.parametrize('kind', ['empty', 'cut', 'png', 'html'])
def test_a_broken_picture_is_named(tmp_path, door, kind):
    (tmp_path / 'a.jpg').write_bytes(broken_picture(kind))
    for test_mode in (False, True):
        with pytest.raises(ImageReadError, match=r'a\.jpg: .') as caught:
            build_door(door, tmp_path, (64, 48), test_mode)[0]
        assert len(str(caught.value).splitlines()) == 1


@pytest.mark.slow
def test_a_broken_picture_in_a_worker_is_named(tmp_path):
    (tmp_path / 'a.jpg').write_bytes(broken_picture('cut'))
    dataset = build_door('OpenVocabCocoDataset', tmp_path, (64, 48), test_mode=False)
    loader = DataLoader(dataset, num_workers=2, collate_fn=pseudo_collate)
    with pytest.raises(ImageReadError, match=r'a\.jpg: cannot be decoded'):
        list(loader)


def test_a_missing_picture_is_named(tmp_path, door):
    photo(64, 48).save(tmp_path / 'a.jpg')
    dataset = build_door(door, tmp_path, (64, 48))
    for path in tmp_path.rglob('a.jpg'):
        path.unlink()
    with pytest.raises(ImageReadError, match=r'a\.jpg: no such file'):
        dataset[0]
