"""What the one reader of annotation files does with files of many origins, at every data set."""

import copy
import json
import unicodedata

import numpy as np
import pytest
from mmengine.registry import DATASETS
from pycocotools import mask as coco_mask

from clipself_mm.datasets.annotations.masks import mask_problem
from tests.logs import logged

NAMES = ('mug', 'kettle', 'spoon')
SIZE = (120, 160)


def polygon(box):
    x, y, w, h = box
    return [[x, y, x + w, y, x + w, y + h, x, y + h]]


def good():
    """Two images with a mug, a kettle and a spoon each."""
    images = [dict(id=n, file_name=f'{n}.jpg', height=120, width=160) for n in (1, 2)]
    annotations = []
    for image in (1, 2):
        for category, box in enumerate(([8, 8, 40, 30], [60, 20, 30, 60], [100, 80, 40, 20]), 1):
            annotations.append(
                dict(
                    id=len(annotations) + 1,
                    image_id=image,
                    category_id=category,
                    bbox=box,
                    area=box[2] * box[3],
                    iscrowd=0,
                    segmentation=polygon(box),
                )
            )
    categories = [dict(id=n, name=name) for n, name in enumerate(NAMES, 1)]
    return dict(images=images, annotations=annotations, categories=categories)


@pytest.fixture
def read(tmp_path):
    """Builds a data set of a changed copy of the good content; gives it and the lines logged."""
    words = dict(classes=NAMES, base=NAMES[:2], novel=NAMES[2:])
    (tmp_path / 'words.json').write_text(json.dumps(words))

    def build(change=lambda content: None, kind='OpenVocabCocoDataset', pipeline=(), **settings):
        content = copy.deepcopy(good())
        change(content)
        (tmp_path / 'boxes.json').write_text(json.dumps(content))
        config = dict(type=kind, ann_file=str(tmp_path / 'boxes.json'), pipeline=list(pipeline))
        if kind != 'ImageRegions':
            config['vocabulary'] = str(tmp_path / 'words.json')
        config |= dict(data_prefix=dict(img=str(tmp_path)), **settings)
        with logged() as lines:
            dataset = DATASETS.build(config)
        return dataset, [line.replace(f'{tmp_path}/', '') for line in lines]

    return build


MISSING = type(None)


def each(key, value):
    """A change of every annotation."""

    def change(content):
        for entry in content['annotations']:
            if value is MISSING:
                entry.pop(key)
            else:
                entry[key] = value

    return change


def first(key, value):
    return lambda content: content['annotations'][0].__setitem__(key, value)


PROPOSALS = [dict(type='SampleRegions', regions=dict(type='ProposalRegions'))]
READERS = [
    dict(kind='OpenVocabCocoDataset'),
    dict(kind='OpenVocabCocoDataset', base_only=True),
    dict(kind='BoxRegions', pipeline=[dict(type='AnnotatedRegions')]),
    dict(kind='ImageRegions', pipeline=PROPOSALS),
]


def boxes_of(dataset):
    """Per image the boxes x, y, width, height that training or evaluation may use."""
    found = []
    for number in range(len(dataset)):
        info = dataset.get_data_info(number)
        if 'instances' in info:
            corners = np.array([item['bbox'] for item in info['instances']]).reshape(-1, 4)
            corners[:, 2:] -= corners[:, :2]
            found.append(corners.tolist())
        else:
            found.append(np.asarray(info['boxes_xywh']).tolist())
    return found


GOOD = [[[8, 8, 40, 30], [60, 20, 30, 60], [100, 80, 40, 20]]] * 2


def test_the_log_says_what_is_used(read):
    def change(content):
        content['categories'].append(dict(id=9, name='root'))
        extra = [
            dict(bbox=[1, 1, 9, 9], iscrowd=1),
            dict(bbox=[1, 1, 0, 9]),
            dict(bbox=[1, 1, 0.5, 9]),
            dict(bbox=[200, 1, 9, 9]),
            dict(bbox=[1, 1, 9, 9], category_id=9),
            dict(bbox=[1, 1, 9, 9], image_id=77),
            dict(bbox=[1, 1, 9, 9], ignore=1),
        ]
        content['annotations'] += [dict(image_id=1, category_id=1) | entry for entry in extra]

    dataset, lines = read(change, base_only=True)
    (line,) = [line for line in lines if 'images' in line]
    assert line.startswith('boxes.json: 2 images, 13 boxes: 2 of novel classes, ')
    for part in (
        '1 crowd',
        '1 without area',
        '1 below 1 px',
        '1 outside the image',
        '1 of other classes',
        '1 of images that are not listed',
        "1 with 'ignore'",
        '4 used',
    ):
        assert part in line
    assert boxes_of(dataset) == [[*GOOD[0][:2], [1, 1, 9, 9]], GOOD[1][:2]]  # the crowd stays
    warned = [line for line in lines if 'are not used' in line]
    assert len(warned) == 1
    assert '6 of 10 boxes are not used' in warned[0]


@pytest.mark.parametrize(
    ('change', 'why'),
    [
        (each('iscrowd', 1), r"6 crowd, 0 used\).*'iscrowd' 1: set it to 0"),
        (each('bbox', [0.1, 0.1, 0.3, 0.4]), r'6 below 1 px, 0 used\).*fractions'),
        (each('bbox', [3, 3, 0, 0]), '6 without area, 0 used'),
        (each('bbox', [161, 3, 9, 9]), '6 outside the image, 0 used'),
        (lambda content: content.update(annotations=[]), '0 boxes: 0 used'),
    ],
)
@pytest.mark.parametrize('reader', READERS[:1] + READERS[2:])
def test_no_usable_box_is_an_error_in_training(read, reader, change, why):
    if reader['kind'] == 'ImageRegions' and 'crowd' in why:
        assert boxes_of(read(change, **reader)[0]) == GOOD  # regions may show several objects
        return
    with pytest.raises(ValueError, match=rf'boxes\.json: no box can be used.*{why}'):
        read(change, **reader)


def test_a_class_whose_boxes_are_all_lost_is_named(read):
    def change(content):
        for entry in content['annotations']:
            entry['iscrowd'] = int(entry['category_id'] == 2)

    lines = read(change)[1]
    assert "boxes.json: no box of class 'kettle' is used: 2 are crowd" in lines


def test_corners_in_place_of_sizes_are_doubted(read):
    def change(content):
        for entry in content['annotations']:
            x, y, w, h = entry['bbox']
            entry['bbox'] = [x, y, x + w, y + h]

    lines = read(change)[1]
    assert any('2 of 6 boxes reach beyond their image' in line for line in lines)


@pytest.mark.parametrize('area', [0, None, -4, '812.0', MISSING])
def test_area_is_that_of_the_box_where_it_is_not_positive(read, area):
    dataset, _ = read(each('area', area))
    assert boxes_of(dataset) == GOOD


@pytest.mark.parametrize(
    'box', [None, [], [1, 2, 3], [1, 2, 3, 4, 5], ['1', '2', '3', '4'], [1, 2, float('inf'), 4]]
)
@pytest.mark.parametrize('reader', READERS)
def test_a_box_is_four_finite_numbers(read, reader, box):
    with pytest.raises(ValueError, match=r'boxes\.json: bbox of annotation 1 is .*four finite'):
        read(first('bbox', box), **reader)


def renamed(ids, key='images', field='image_id'):
    """A change of the ids of a list and of the annotations that name them."""

    def change(content):
        new = {entry['id']: number for entry, number in zip(content[key], ids, strict=False)}
        for entry in content[key]:
            entry['id'] = new[entry['id']]
        for entry in content['annotations']:
            entry[field] = new[entry[field]]

    return change


@pytest.mark.parametrize('ids', [('a', 'b'), (0, -1), (2**53, 2**53 + 1), (7.0, 8.0)])
@pytest.mark.parametrize('reader', READERS)
def test_image_ids_of_any_one_type(read, reader, ids):
    dataset, _ = read(renamed(ids), **reader)
    assert [dataset.get_data_info(n)['img_id'] for n in range(2)] == list(ids)
    assert [len(boxes) for boxes in boxes_of(dataset)] == [2 if 'base_only' in reader else 3] * 2


@pytest.mark.parametrize('ids', [('x', 'y', 'z'), (0, -1, 2**33), ('7', '07', '007')])
def test_category_ids_of_any_one_type(read, ids):
    dataset, _ = read(renamed(ids, 'categories', 'category_id'))
    assert boxes_of(dataset) == GOOD
    labels = [item['bbox_label'] for item in dataset.get_data_info(0)['instances']]
    assert labels == [0, 1, 2]


@pytest.mark.parametrize(
    ('change', 'why'),
    [
        (each('image_id', '1'), r"image_id of annotation 1 is text, '1'.*'images' are numbers"),
        (each('category_id', '1'), r"category_id of annotation 1 is text.*'categories' are num"),
        (first('category_id', 55), r'annotation 1 has category_id 55, which is not in'),
        (first('category_id', None), r"annotation 1 has no 'category_id' that is a number or text"),
        (first('image_id', [1]), r"annotation has no 'image_id'"),
        (lambda c: c['images'][1].update(id='2'), r"id of image '2' is text.*are numbers"),
        (lambda c: c['images'][1].update(id=1), r'image id 1 is listed twice, for 1\.jpg and 2'),
        (lambda c: c['images'][0].update(id=True), r"image has no 'id' that is a number or text"),
        (lambda c: c['categories'][1].update(id=1), r"id 1 is listed twice, for 'mug' and 'kettle"),
        (lambda c: c['categories'][1].pop('name'), r"category 2 has no 'name'"),
        (lambda c: c['categories'][1].pop('id'), r"category has no 'id'"),
        (lambda c: c['images'].append('x'), r"entry 2 of 'images' is 'x'"),
        (lambda c: c['images'][0].update(width='160'), r"width of image 1 is '160', exp"),
        (lambda c: c['images'][0].update(height=float('nan')), r'height of image 1 is nan'),
        (lambda c: c['images'][0].update(file_name={}), r"image 1 has neither 'file_name' nor"),
        (
            lambda c: c['images'][0].update(file_name={'a': 1}),
            r'file_name of image 1 .* no path',
        ),
    ],
)
@pytest.mark.parametrize('reader', READERS[:3])
def test_a_broken_entry_is_named(read, reader, change, why):
    with pytest.raises(ValueError, match=rf'boxes\.json: .*{why}'):
        read(change, **reader)


@pytest.mark.parametrize(
    ('name', 'why'),
    [
        ('https://example.com/a/cup.jpg', 'is a URL'),
        ('C:\\data\\cup.jpg', 'is a path of a Windows machine'),
        ('\\\\server\\share\\cup.jpg', 'is a path of a Windows machine'),
        (
            '/data/upload/1/cup.jpg',
            'absolute paths and the first, /data/upload/1/cup.jpg, ',
        ),
    ],
)
@pytest.mark.parametrize('reader', READERS)
def test_file_names_of_another_machine(read, reader, name, why):
    def change(content):
        for image in content['images']:
            image['file_name'] = name

    with pytest.raises(ValueError, match=rf'boxes\.json: .*{why}') as error:
        read(change, **reader)
    assert '2 of 2' in str(error.value)  # how many


def test_one_file_of_several_images_is_doubted(read):
    def change(content):
        content['images'][0]['file_name'] = 'a\\frame.png'
        content['images'][1]['file_name'] = 'a/frame.png'

    lines = read(change)[1]
    assert any('2 of 2 images share a file' in line and 'a/frame.png' in line for line in lines)

    def folders(content):
        for folder, image in zip('ab', content['images'], strict=True):
            image['file_name'] = f'{folder}/0.jpg'

    assert not any('share' in line for line in read(folders)[1])


def named(*names):
    def change(content):
        for entry, name in zip(content['categories'], names, strict=True):
            entry['name'] = name

    return change


def test_names_are_compared_in_one_unicode_form_without_outer_blanks(read, tmp_path):
    cafe = 'caf\u00e9'
    (tmp_path / 'words.json').write_text(json.dumps(dict(classes=[cafe, 'mug', 'sugar bowl'])))
    dataset, _ = read(named(unicodedata.normalize('NFD', cafe), 'mug\u00a0', ' sugar bowl'))
    assert boxes_of(dataset) == GOOD


@pytest.mark.parametrize(
    ('names', 'near'),
    [
        (('Mug', 'kettle', 'spoon'), "found 'Mug', the vocabulary has 'mug'"),
        (('mug', 'kettle', 'Spoon'), "found 'Spoon', the vocabulary has 'spoon'"),  # novel
        (('mug', 'kettle', '\uff53\uff50oon'), "the vocabulary has 'spoon'"),  # full width
    ],
)
@pytest.mark.parametrize('base_only', [False, True])
def test_a_near_name_is_an_error_that_shows_it(read, names, near, base_only):
    with pytest.raises(ValueError, match=rf'boxes\.json: 1 of 3 categories.*{near}'):
        read(named(*names), base_only=base_only)


def test_categories_of_one_name_are_one_class(read):
    def change(content):
        content['categories'] += [dict(id=0, name='mug'), dict(id=9, name='spoon')]
        content['annotations'][2]['category_id'] = 9

    dataset, lines = read(change)
    labels = [item['bbox_label'] for item in dataset.get_data_info(0)['instances']]
    assert labels == [0, 1, 2]
    assert "boxes.json: categories [3, 9] are all named 'spoon' and read as one class" in lines


def run_lengths(box, compressed):
    mask = np.zeros(SIZE, np.uint8, order='F')
    x, y, w, h = box
    mask[y : y + h, x : x + w] = 1
    encoded = coco_mask.encode(mask)
    if compressed:
        return dict(size=list(SIZE), counts=encoded['counts'].decode())
    changes = np.flatnonzero(np.diff(mask.ravel('F'))) + 1
    return dict(size=list(SIZE), counts=np.diff([0, *changes.tolist(), mask.size]).tolist())


MASKS = [dict(type='mmdet.LoadAnnotations', with_bbox=True, with_mask=True)]
BOX = [8, 8, 40, 30]


@pytest.mark.parametrize(
    'segmentation', [polygon(BOX), run_lengths(BOX, True), run_lengths(BOX, False)]
)
def test_three_kinds_of_masks_are_equal(read, segmentation):
    def loaded(results):
        return dict(results, ori_shape=SIZE, img_shape=SIZE)

    dataset, _ = read(first('segmentation', segmentation), pipeline=[loaded, *MASKS])
    masks = dataset[0]['gt_masks'].to_ndarray()
    expected = np.zeros(SIZE, bool)
    expected[8:38, 8:48] = True
    assert np.array_equal(masks[0], expected)


@pytest.mark.parametrize(
    ('segmentation', 'why'),
    [
        ([], r'is \[\]'),
        (None, 'is None'),
        (MISSING, 'is None'),
        ([[8, 8, 40, 30]], r'has the polygon \[8, 8, 40, 30\]'),
        ([8, 8, 48, 8, 48, 38, 8, 38], 'no list of polygons'),
        ([[8, 8, 48, 8, 48, 38, 8]], 'has the polygon'),
        ([[8, 8, 48, 8, 48, None]], 'has the polygon'),
        (run_lengths(BOX, True) | dict(size=[160, 120]), r'size \[160, 120\].*120 high and 160'),
        (dict(size=list(SIZE), counts="b'aP1'"), 'is no run length'),
        (dict(size=list(SIZE), counts=[5, 9]), '14 pixels in all, the image has 19200'),
        (dict(size=list(SIZE), counts=[-5, 19205]), 'not run lengths'),
        (dict(size=list(SIZE)), 'has counts None'),
        ('a mask', 'no list of polygons'),
    ],
)
def test_a_wrong_mask_is_named_before_training(read, segmentation, why):
    change = each('segmentation', segmentation)
    where = r'boxes\.json: 6 of 6 annotations.*annotation 1 '
    with pytest.raises(ValueError, match=rf'{where}.*{why}'):
        read(change, pipeline=MASKS)
    assert boxes_of(read(change)[0]) == GOOD  # boxes do not need them


def test_parts_of_less_than_three_points_are_left_out_with_a_warning(read):
    change = first('segmentation', [*polygon(BOX), [1, 1, 5, 5]])
    dataset, lines = read(change, pipeline=MASKS)
    assert dataset.get_data_info(0)['instances'][0]['mask'] == polygon(BOX)
    assert any('masks of 1 of 6 annotations have parts of less than 3 points' in x for x in lines)


@pytest.mark.parametrize(
    'segmentation',
    [
        polygon([90, 90, 20, 20]),
        polygon([500, 500, 20, 20]),
        polygon([0.1, 0.1, 0.3, 0.3]),
        dict(size=list(SIZE), counts=[SIZE[0] * SIZE[1]]),
    ],
)
def test_a_mask_elsewhere_than_its_box_or_without_a_pixel_is_named(read, segmentation):
    with pytest.raises(ValueError, match=r'1 of 6 ann.*annotation 1 (is .*not at|has no p)'):
        read(first('segmentation', segmentation), pipeline=MASKS)


def test_masks_are_kept_for_a_wrapper_that_loads_them(read):
    """As `MultiImageMixDataset` does; the pipeline of this data set has no step then."""
    assert 'mask' in read()[0].get_data_info(0)['instances'][0]
    boxes = [dict(type='mmdet.LoadAnnotations', with_bbox=True)]
    assert 'mask' not in read(pipeline=boxes)[0].get_data_info(0)['instances'][0]


@pytest.mark.parametrize(('key', 'value'), [('iscrowd', '0'), ('iscrowd', 2), ('ignore', 'false')])
@pytest.mark.parametrize('reader', READERS)
def test_flags_are_0_or_1(read, reader, key, value):
    with pytest.raises(ValueError, match=rf'{key} of annotation 1 is .*expected 0 or 1'):
        read(first(key, value), **reader)
    read(first(key, True), **reader)
    read(first(key, None), **reader)


def test_a_class_without_a_box_is_named(read):
    def change(content):
        content['annotations'] = [e for e in content['annotations'] if e['category_id'] != 2]

    assert "boxes.json: 1 of 2 classes have no box: ['kettle']" in read(change, base_only=True)[1]


def test_a_root_named_nearly_as_a_class_is_doubted(read):
    def change(content):
        content['categories'].append(dict(id=0, name='Mug'))

    lines = read(change)[1]
    assert any("found 'Mug', the vocabulary has 'mug'" in line for line in lines)


def test_images_left_out_by_the_filter_are_counted(read):
    with pytest.raises(ValueError, match='none of its 2 images is left'):
        read(filter_cfg=dict(min_size=121))

    def change(content):
        content['images'][1].update(width=20, height=20)
        content['annotations'] = content['annotations'][:3]

    lines = read(change, filter_cfg=dict(min_size=32))[1]
    assert any('1 of 2 images are left by filter_cfg' in line for line in lines)


@pytest.mark.parametrize('reader', READERS)
def test_the_extent_of_all_boxes_tells_the_frame(read, reader):
    """Boxes without area or beyond any frame tell nothing; those of other classes and crowds do."""

    def change(content):
        content['categories'].append(dict(id=9, name='root'))
        extra = [
            dict(bbox=[300, 300, 0, 9]),
            dict(bbox=[10, 10, 50, 252]),
            dict(bbox=[10, 10, 50, 130], category_id=9),
        ]
        content['annotations'] += [dict(id=7, image_id=1, category_id=1) | e for e in extra]

    more = dict(ignore_unknown=True) if reader['kind'] == 'BoxRegions' else {}
    info = read(change, **reader, **more)[0].get_data_info(0)
    assert info['boxes_extent'] == (140, 140)


def test_run_lengths_of_random_masks_are_counted():
    random = np.random.default_rng(0)
    for share in (0.02, 0.5, 0.98):
        mask = np.asfortranarray(random.random(SIZE) < share, np.uint8)
        counts = coco_mask.encode(mask)['counts'].decode()
        assert mask_problem(dict(size=list(SIZE), counts=counts), *SIZE) == ''
        assert 'pixels in all' in mask_problem(dict(size=[120, 161], counts=counts), 120, 161)
        assert mask_problem(dict(size=list(SIZE), counts=counts[:-1]), *SIZE) != ''


def test_files_of_captions_and_without_images(read):
    captions = [dict(id=1, image_id=1, caption='a mug')]

    def change(content):
        content.update(annotations=captions)
        del content['categories']

    with pytest.raises(ValueError, match=r"boxes\.json: .*'categories'.*a file of captions"):
        read(change)
    with pytest.raises(ValueError, match=r'boxes\.json: expected annotated boxes.*captions'):
        read(lambda content: content.update(annotations=captions))
