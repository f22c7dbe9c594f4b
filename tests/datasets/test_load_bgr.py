import cv2
import numpy as np
import pytest
from mmcv.transforms import LoadImageFromFile
from mmengine.config import ConfigDict
from PIL import Image

from clipself_mm.datasets import ImageReadError, LoadBGR, OpenVocabCocoDataset
from clipself_mm.datasets.image_files.checked_images import with_load_bgr
from tests.datasets.coco_files import box, photo, write_json
from tests.datasets.image_files import write_oriented


@pytest.mark.parametrize('to_float32', [False, True])
@pytest.mark.parametrize(
    ('mode', 'name'), [('RGB', 'a.jpg'), ('L', 'a.jpg'), ('RGB', 'a.png'), ('L', 'a.png')]
)
def test_gives_what_mmcv_gives(tmp_path, mode, name, to_float32):
    smooth = photo(40, 30).resize((320, 240), Image.Resampling.BICUBIC).convert(mode)
    smooth.save(tmp_path / name)
    sample = dict(img_path=str(tmp_path / name))
    expected = LoadImageFromFile(to_float32=to_float32)(dict(sample))
    found = LoadBGR(to_float32=to_float32)(dict(sample))
    np.testing.assert_array_equal(found['img'], expected['img'])
    assert found['img'].dtype == expected['img'].dtype
    assert found['img'].flags.writeable
    assert found.keys() == expected.keys()
    assert found['ori_shape'] == found['img_shape'] == expected['img_shape'] == (240, 320)


@pytest.mark.parametrize(
    'kind',
    ['LoadImageFromFile', 'mmcv.LoadImageFromFile', 'mmdet.LoadImageFromFile', LoadImageFromFile],
)
def test_the_reader_of_mm_is_replaced(kind):
    flip, turned = dict(type='RandomFlip', prob=0.5), dict(type='LoadBGR', exif='apply')
    options = dict(to_float32=True, backend_args=dict(backend='local'))
    defaults = dict(color_type='color', imdecode_backend='cv2', ignore_empty=False)
    for step in (dict(type=kind, **options, **defaults), ConfigDict(type=kind, **options)):
        assert with_load_bgr([step, flip, turned, len], 'D') == [
            dict(type='LoadBGR', **options),
            flip,
            turned,
            len,
        ]
    assert with_load_bgr([dict(type=kind)], 'D') == [dict(type='LoadBGR')]
    built = with_load_bgr([LoadImageFromFile(**options)], 'D')
    assert built == [dict(type='LoadBGR', **options)]


@pytest.mark.parametrize(
    'option', [dict(imdecode_backend='pillow'), dict(color_type='grayscale'), dict(ignore_empty=1)]
)
def test_options_that_would_be_lost_raise(option):
    (name,) = option
    for step in (dict(type='LoadImageFromFile', **option), LoadImageFromFile(**option)):
        with pytest.raises(ValueError, match=rf'OpenVocabCocoDataset.*{name}.*LoadBGR'):
            with_load_bgr([step], 'OpenVocabCocoDataset')


def make_dataset(folder, image, bbox, **reader):
    """A detector's training set of one picture with one box."""
    ann_file = write_json(
        folder / 'a.json',
        images=[dict(dict(id=1, file_name='a.jpg'), **image)],
        annotations=[box(1, bbox, area=bbox[2] * bbox[3], iscrowd=0)],
        categories=[dict(id=1, name='mug')],
    )
    vocabulary = write_json(folder / 'voc.json', classes=['mug'])
    return OpenVocabCocoDataset(
        ann_file=ann_file,
        vocabulary=vocabulary,
        data_prefix=dict(img=str(folder)),
        pipeline=[dict(dict(type='LoadImageFromFile'), **reader)],
    )


def by_opencv(path, turned):
    flag = 0 if turned else cv2.IMREAD_IGNORE_ORIENTATION
    return cv2.imread(path, cv2.IMREAD_COLOR | flag)


@pytest.mark.parametrize('orientation', [5, 6, 7, 8])
@pytest.mark.parametrize('turned', [False, True])
def test_the_detector_reads_the_frame_of_the_size(tmp_path, orientation, turned):
    path = write_oriented(tmp_path / 'a.jpg', (160, 120), orientation)
    width, height = (120, 160) if turned else (160, 120)
    dataset = make_dataset(tmp_path, dict(width=width, height=height), [10, 10, 50, 50])
    sample = dataset[0]
    np.testing.assert_array_equal(sample['img'], by_opencv(path, turned))
    assert sample['ori_shape'] == (height, width)


@pytest.mark.parametrize(('size', 'orientation'), [((160, 120), 3), ((96, 96), 6)])
def test_where_turning_keeps_the_size_the_user_tells(tmp_path, size, orientation):
    path = write_oriented(tmp_path / 'a.jpg', size, orientation)
    image = dict(width=size[0], height=size[1])
    for reader, turned in (
        (dict(type='LoadImageFromFile'), False),
        (dict(type='LoadBGR', exif='apply'), True),
        (dict(type='LoadBGR', exif='ignore'), False),
    ):
        sample = make_dataset(tmp_path, image, [10, 10, 50, 50], **reader)[0]
        np.testing.assert_array_equal(sample['img'], by_opencv(path, turned))


@pytest.mark.parametrize(
    ('image', 'bbox'),
    [
        (dict(width=160, height=120), [10, 90, 50, 60]),  # size stored, box turned
        (dict(width=120, height=160), [90, 10, 60, 50]),  # size turned, box stored
        (dict(width=80, height=60), [10, 10, 20, 20]),
        (dict(width=1, height=1), [0, 0, 1, 1]),
        (dict(width=320, height=240), [10, 10, 20, 20]),
    ],
)
def test_a_size_that_contradicts_picture_or_boxes_raises(tmp_path, image, bbox):
    write_oriented(tmp_path / 'a.jpg', (160, 120), 6)
    sizes = rf'(?s)a\.jpg.*{image["width"]} x {image["height"]}'
    with pytest.raises(ImageReadError, match=sizes):  # of the first image when the run starts
        make_dataset(tmp_path, image, bbox)
    sample = dict(img_path=str(tmp_path / 'a.jpg'), **image)
    sample['boxes_extent'] = (bbox[0] + bbox[2], bbox[1] + bbox[3])
    with pytest.raises(ImageReadError, match=sizes):
        LoadBGR()(sample)
    for exif in ('apply', 'ignore'):  # sizes are compared all the same
        if (image['width'], image['height']) != ((120, 160) if exif == 'apply' else (160, 120)):
            with pytest.raises(ImageReadError, match=sizes):
                LoadBGR(exif)(sample)


def test_a_wrong_size_without_boxes_raises_too(tmp_path):
    photo(30, 20).save(tmp_path / 'a.png')
    sample = dict(img_path=str(tmp_path / 'a.png'), width=20, height=30)
    with pytest.raises(ImageReadError, match=r'a\.png.*30 x 20.*20 x 30'):
        LoadBGR()(sample)


def test_all_boxes_of_the_picture_count_for_the_frame(tmp_path):
    """`boxes_extent` is of all boxes; those of other classes are left out of the sample."""
    path = write_oriented(tmp_path / 'a.jpg', (160, 120), 6)
    sample = dict(img_path=path, width=160, height=120, boxes_extent=(60.0, 150.0), instances=[])
    with pytest.raises(ImageReadError, match=r'a\.jpg.*y = 150.*120 x 160'):
        LoadBGR()(sample)


@pytest.mark.parametrize('turned', [False, True])
def test_a_label_map_tells_the_frame(tmp_path, turned):
    path = write_oriented(tmp_path / 'a.jpg', (160, 120), 8)
    size = (120, 160) if turned else (160, 120)
    Image.new('L', size).save(tmp_path / 'a.png')
    sample = dict(img_path=path, seg_map_path=str(tmp_path / 'a.png'))
    np.testing.assert_array_equal(LoadBGR()(sample)['img'], by_opencv(path, turned))


def test_a_label_map_of_another_size_raises(tmp_path):
    path = write_oriented(tmp_path / 'a.jpg', (160, 120), 8)
    Image.new('L', (80, 60)).save(tmp_path / 'b.png')
    sample = dict(img_path=path, seg_map_path=str(tmp_path / 'b.png'))
    with pytest.raises(ImageReadError, match=r'b\.png.*80 x 60.*a\.jpg.*160 x 120'):
        LoadBGR()(dict(sample))
    with pytest.raises(ImageReadError, match=r'b\.png.*80 x 60.*a\.jpg.*160 x 120'):
        LoadBGR()(dict(sample, width=160, height=120))
    (tmp_path / 'b.png').write_bytes(b'no map')
    with pytest.raises(ImageReadError, match=r'b\.png'):
        LoadBGR()(dict(sample))
    (tmp_path / 'b.png').unlink()  # is left to the step that loads it
    assert LoadBGR()(dict(sample))['img'].shape == (120, 160, 3)
