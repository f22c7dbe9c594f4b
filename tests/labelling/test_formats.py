"""The files of each format, read by other programs than the writer."""

import csv
import json
import xml.etree.ElementTree as ET
from pathlib import Path

import cv2
import numpy as np
import pycocotools.mask as coco_mask
import pytest
import yaml
from PIL import ExifTags, Image
from pycocotools.coco import COCO

from clipself_mm.datasets import OpenVocabCocoDataset
from clipself_mm.labelling import FORMATS, Journal, LabelledImage
from tests.labelling.folders import contents, noise

CLASSES = ['mug', 'a "big" <cup>: 1']
BOXES = [[2.0, 3.0, 12.5, 20.0], [0.0, 0.0, 40.0, 30.0]]


def rle(mask):
    found = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {'size': [*map(int, found['size'])], 'counts': found['counts'].decode()}


def labelled(index, name, boxes=(), masks=None, size=(40, 30), orientation=1):
    count = len(boxes)
    scores = [0.75, 0.5][:count]
    return LabelledImage(index, name, size, [1, 0][:count], scores, [*boxes], masks, orientation)


def write(folder, images, formats, classes=CLASSES, root=None):
    """The files of these images, by way of a journal."""
    journal = Journal(folder / 'journal')
    with journal.lock(), journal.part(0) as part:
        part.add(images[::-1])
    records = journal.records(1 + max(image.index for image in images))
    return [FORMATS[name](records, classes, folder, root) for name in formats]


def masks():
    """A ring beside a square, a single pixel, a diagonal line."""
    first = np.zeros((30, 40), np.uint8)
    cv2.circle(first, (10, 12), 8, 1, 3)
    first[20:28, 25:37] = 1
    second = np.zeros((30, 40), np.uint8)
    second[7, 31] = 1
    third = np.eye(30, 40, dtype=np.uint8)
    return first, second, third


def test_coco_by_pycocotools(tmp_path):
    images = [labelled(0, 'a/1.jpg', BOXES), labelled(2, 'ü 2.jpg')]
    (path,) = write(tmp_path, images, ['coco'])
    coco = COCO(path)
    assert coco.loadImgs([1, 3]) == [
        dict(id=1, file_name='a/1.jpg', width=40, height=30),
        dict(id=3, file_name='ü 2.jpg', width=40, height=30),
    ]
    assert [(c['id'], c['name']) for c in coco.loadCats(coco.getCatIds())] == [
        *enumerate(CLASSES, 1)
    ]
    first, second = coco.loadAnns(coco.getAnnIds(imgIds=[1]))
    assert (first['bbox'], first['area'], first['score']) == ([2, 3, 10.5, 17], 178.5, 0.75)
    assert (first['category_id'], second['category_id'], first['iscrowd']) == (2, 1, 0)
    assert coco.getAnnIds(imgIds=[3]) == []
    assert json.loads((tmp_path / 'vocabulary.json').read_text()) == {'classes': CLASSES}


def test_coco_masks_are_exact(tmp_path):
    ring, pixel, _ = masks()
    boxes = [[2.0, 4.0, 37.0, 28.0], [31.0, 7.0, 32.0, 8.0]]
    (path,) = write(tmp_path, [labelled(0, '1.jpg', boxes, [rle(ring), rle(pixel)])], ['coco'])
    coco = COCO(path)
    for number, mask in ((1, ring), (2, pixel)):
        (found,) = coco.loadAnns(number)
        assert np.array_equal(coco.annToMask(found), mask)
        assert found['area'] == mask.sum()


def test_no_object_at_all_is_valid(tmp_path):
    names = [*FORMATS]
    paths = write(tmp_path, [labelled(0, '1.jpg')], names)
    assert COCO(paths[0]).getAnnIds() == []
    assert (tmp_path / 'labels/1.txt').read_bytes() == b''
    (task,) = json.loads(paths[names.index('label-studio')].read_text())
    assert task['predictions'][0]['result'] == []
    assert paths[-1].read_text().splitlines()[1:] == ['1.jpg,,,,,,,40,30']


def photo_files(folder, names, size=(40, 30)):
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        noise(*size, seed=number).save(folder / name)


def test_yolo_and_coco_by_supervision(tmp_path):
    supervision = pytest.importorskip('supervision')
    photo_files(tmp_path / 'in', ['1.jpg', '2.png'])
    images = [labelled(0, '1.jpg', BOXES), labelled(1, '2.png')]
    out = tmp_path / 'out'
    write(out, images, ['yolo', 'coco'], root=str(tmp_path / 'in'))
    load = supervision.DetectionDataset
    yolo = load.from_yolo(str(out / 'images'), str(out / 'labels'), str(out / 'data.yaml'))
    coco = load.from_coco(str(tmp_path / 'in'), str(out / 'annotations.json'))
    for data in (yolo, coco):
        assert data.classes == CLASSES
        found = {Path(path).name: (image, labels) for path, image, labels in data}
        assert [*sorted(found)] == ['1.jpg', '2.png']
        image, labels = found['1.jpg']
        assert np.array_equal(image, cv2.imread(str(tmp_path / 'in/1.jpg')))
        assert np.allclose(labels.xyxy, BOXES, atol=1e-3)
        assert labels.class_id.tolist() == [1, 0]
        assert len(found['2.png'][1]) == 0


def filled(points):
    """The mask of an outline in pixels, drawn ten times as large: a pixel counts by its centre."""
    drawn = np.zeros((300, 400), np.uint8)
    cv2.fillPoly(drawn, [np.round(np.array(points) * 10 - 0.5).astype(int)], 1)
    return drawn[5::10, 5::10]


def test_yolo_masks_are_one_outline_each(tmp_path):
    objects = masks()
    boxes = [[float(n), 0.0, 9.0, 9.0] for n in range(3)]
    image = LabelledImage(0, '1.jpg', (40, 30), [0, 1, 0], [1, 1, 1], boxes, [*map(rle, objects)])
    write(tmp_path, [image], ['yolo'])
    rows = (tmp_path / 'labels/1.txt').read_text().splitlines()
    solid = masks()[0]
    cv2.circle(solid, (10, 12), 8, 1, -1)  # an outline has no holes
    for row, label, expected in zip(rows, (0, 1, 0), (solid, *objects[1:]), strict=True):
        found, *values = row.split()
        assert int(found) == label
        points = np.array(values, float).reshape(-1, 2) * (40, 30)
        assert len(points) >= 3
        drawn = filled(points)
        overlap = (drawn & expected).sum() / (drawn | expected).sum()
        assert overlap > (0.9 if expected is solid else 0.6)


def test_yolo_loses_no_label_of_images_that_differ_in_the_ending(tmp_path):
    names = ['a.jpg', 'a.png', 'a_2.jpg', 'images/a.jpg', 's/a.jpg', '../b.jpg']
    photo_files(tmp_path / 'in', names)
    boxes = [[[0.0, 0.0, 4.0 * (n + 1), 30.0]] for n in range(len(names))]
    images = [labelled(n, name, boxes[n]) for n, name in enumerate(names)]
    out = tmp_path / 'in' / 'out'
    (out / 'labels.clipself-partial').mkdir(parents=True)  # as a kill leaves it
    (out / 'labels.clipself-partial/old.txt').touch()
    write(out, images, ['yolo'], root=str(tmp_path / 'in'))
    widths = {}
    for label in (out / 'labels').rglob('*.txt'):
        name = label.relative_to(out / 'labels').with_suffix('')
        (image,) = [p for p in (out / 'images' / name.parent).iterdir() if p.stem == name.name]
        # What Ultralytics does to find the labels of an image.
        before, after = str(image).rsplit('/images/', 1)
        assert Path(f'{before}/labels/{after}').with_suffix('.txt') == label
        widths[image.resolve()] = float(label.read_text().split()[3])
    assert widths == {
        (tmp_path / 'in' / name).resolve(): (n + 1) / 10 for n, name in enumerate(names)
    }
    assert not [*out.glob('*partial*')]


def test_data_yaml(tmp_path):
    (path,) = write(tmp_path, [labelled(0, '1.jpg', BOXES)], ['yolo'])
    found = yaml.safe_load(path.read_text(encoding='utf-8'))
    assert found == dict(train='images', val='images', names=dict(enumerate(CLASSES)))


def test_label_studio(tmp_path):
    images = [labelled(0, 'a/ü #1.jpg', BOXES), labelled(1, '2.jpg')]
    (path,) = write(tmp_path, images, ['label-studio'])
    tree = ET.parse(tmp_path / 'labeling_config.xml')
    (image,), (labels,) = tree.findall('Image'), tree.findall('RectangleLabels')
    assert [tag.get('value') for tag in labels] == CLASSES
    task, without = json.loads(path.read_text())
    assert image.get('value') == '$image'
    assert task['data']['image'] == '/data/local-files/?d=a/%C3%BC%20%231.jpg'
    assert without['predictions'][0]['result'] == []
    (prediction,) = task['predictions']
    assert prediction['score'] == 0.625
    first, second = prediction['result']
    assert first['to_name'] == image.get('name')
    assert first['from_name'] == labels.get('name')
    assert (first['original_width'], first['original_height']) == (40, 30)
    assert (first['type'], first['score']) == ('rectanglelabels', 0.75)
    value = first['value']
    assert value.pop('rectanglelabels') == [CLASSES[1]]
    assert value == dict(x=5.0, y=10.0, width=26.25, height=56.6667, rotation=0)
    assert second['value']['width'] == second['value']['height'] == 100
    assert first['id'] != second['id']


def test_label_studio_has_a_polygon_per_part_of_a_mask(tmp_path):
    ring, *_ = masks()
    (path,) = write(tmp_path, [labelled(0, '1.jpg', BOXES[:1], [rle(ring)])], ['label-studio'])
    (labels,) = ET.parse(tmp_path / 'labeling_config.xml').findall('PolygonLabels')
    (task,) = json.loads(path.read_text())
    result = task['predictions'][0]['result']
    assert [region['type'] for region in result] == ['polygonlabels'] * 2
    assert {region['from_name'] for region in result} == {labels.get('name')}
    drawn = sum(filled(np.array(r['value']['points']) * (0.4, 0.3)) for r in result)
    cv2.circle(ring, (10, 12), 8, 1, -1)
    assert (drawn & ring).sum() / (drawn | ring).sum() > 0.9


def test_csv(tmp_path):
    images = [labelled(0, 'a, b.jpg', BOXES), labelled(1, '2.jpg')]
    (path,) = write(tmp_path, images, ['csv'])
    with path.open(newline='', encoding='utf-8') as file:
        rows = [*csv.DictReader(file)]
    assert rows[0] == dict(
        path='a, b.jpg',
        name=CLASSES[1],
        score='0.75',
        x0='2.0',
        y0='3.0',
        x1='12.5',
        y1='20.0',
        width='40',
        height='30',
    )
    assert [row['name'] for row in rows] == [CLASSES[1], CLASSES[0], '']
    assert (rows[2]['path'], rows[2]['width']) == ('2.jpg', '40')


@pytest.mark.parametrize('size', [(40, 30), (30, 30)])
def test_training_reads_the_pixels_that_were_labelled(tmp_path, size):
    """Of photos with each EXIF orientation: below the box are the pixels that the detector saw."""
    box = [4, 6, 17, 22]
    images, seen = [], []
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = orientation
        stored = size if orientation < 5 else size[::-1]
        noise(*stored, seed=orientation).save(tmp_path / f'{orientation}.png', exif=exif)
        with Image.open(tmp_path / f'{orientation}.png') as image:
            upright = image.convert('RGB')  # turned by hand, from the definition of the tag
        undo = {
            2: lambda p: p[:, ::-1],
            3: lambda p: p[::-1, ::-1],
            4: lambda p: p[::-1],
            5: lambda p: p.transpose(1, 0, 2),
            6: lambda p: np.rot90(p, -1),
            7: lambda p: p[::-1, ::-1].transpose(1, 0, 2),
            8: np.rot90,
        }
        pixels = undo.get(orientation, lambda p: p)(np.asarray(upright))
        assert pixels.shape[1::-1] == size
        mask = np.zeros(size[::-1], np.uint8)
        mask[box[1] : box[3], box[0] : box[2]] = 1
        ambiguous = orientation > 1 and stored == size
        images.append(
            labelled(
                orientation,
                f'{orientation}.png',
                [[*map(float, box)]],
                [rle(mask)],
                size,
                orientation if ambiguous else 1,
            )
        )
        seen.append(np.sort(pixels[mask > 0].reshape(-1)))
    write(tmp_path, images, ['coco'], classes=['a', 'mug'])
    data = OpenVocabCocoDataset(
        vocabulary=str(tmp_path / 'vocabulary.json'),
        ann_file=str(tmp_path / 'annotations.json'),
        data_prefix=dict(img=str(tmp_path)),
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='mmdet.LoadAnnotations', with_mask=True),
        ],
    )
    assert len(data) == 8
    for sample, expected in zip((data[n] for n in range(8)), seen, strict=True):
        x0, y0, x1, y1 = sample['gt_bboxes'].tensor[0].int().tolist()
        below = sample['img'][y0:y1, x0:x1]
        assert np.array_equal(np.sort(below.reshape(-1)), expected)
        mask = sample['gt_masks'].to_ndarray()[0] > 0
        assert np.array_equal(np.sort(sample['img'][mask].reshape(-1)), expected)


def test_files_are_the_same_in_any_order_of_the_journal(tmp_path):
    images = [labelled(n, f'{n}.jpg', BOXES) for n in range(4)]
    write(tmp_path / 'a', images, FORMATS)
    write(tmp_path / 'b', images[::-1], FORMATS)
    assert contents(tmp_path / 'a') == contents(tmp_path / 'b')
