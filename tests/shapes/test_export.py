"""Files of Shapes-OV: COCO's and LVIS's form, consistency with the masks, reuse and determinism."""

import hashlib
import json

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from clipself_mm.shapes.annotation_records import captions_of, panoptic_of
from clipself_mm.shapes.classes import ALL_CLASSES, BASE_CLASSES, NOVEL_CLASSES, THING_CLASSES
from clipself_mm.shapes.export import (
    ShapesOV,
    export_shapes_ov,
    is_complete,
)
from clipself_mm.shapes.scene import Scene, SceneObject
from clipself_mm.shapes.scenes import render_scene

SPEC = ShapesOV(train=14, val=16, size=128, seed=5)


def digests(folder):
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob('*'))
        if path.is_file()
    }


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    out = tmp_path_factory.mktemp('shapes') / 'set'
    assert export_shapes_ov(out, SPEC)
    return out


def read(root, name):
    return json.loads((root / 'annotations' / name).read_text())


def test_layout(root):
    names = {path.name for path in (root / 'annotations').iterdir()}
    assert names == {
        'instances_train.json',
        'instances_train_all.json',
        'instances_val.json',
        'lvis_train.json',
        'lvis_val.json',
        'panoptic_train.json',
        'panoptic_val.json',
        'panoptic_train',
        'panoptic_val',
        'captions_train.json',
        'captions_val.json',
    }
    assert len(list((root / 'train').glob('*.jpg'))) == 14
    assert len(list((root / 'val').glob('*.jpg'))) == 16
    assert not list(root.rglob('*.part'))


def test_masks_boxes_and_areas_agree_in_pycocotools(root):
    coco = COCO(root / 'annotations' / 'instances_val.json')
    forms = set()
    assert [coco.cats[number]['name'] for number in sorted(coco.cats)] == list(THING_CLASSES)
    for instance in coco.anns.values():
        forms.add(type(instance['segmentation']))
        mask = coco.annToMask(instance)
        assert mask.sum() == instance['area']
        assert coco_mask.toBbox(coco.annToRLE(instance)).tolist() == instance['bbox']
        assert instance['iscrowd'] == 0
    assert forms == {list, dict}


def test_annotations_match_the_renderer(root):
    coco = COCO(root / 'annotations' / 'instances_val.json')
    for number in range(16):
        scene = render_scene(5, 500_000 + number, ShapesOV(size=128).style)
        instances = coco.imgToAnns[500_001 + number]
        assert [item['category_id'] - 1 for item in instances] == [
            scene.objects[place].label for place in scene.annotated()
        ]
        stored = np.asarray(Image.open(root / 'val' / f'{500_001 + number:012d}.jpg'), float)
        assert np.abs(stored - scene.image).mean() < 4


def test_training_boxes_are_of_base_classes(root):
    categories = {
        item['id']: item['name'] for item in read(root, 'instances_train.json')['categories']
    }
    assert len(categories) == 65
    shown = read(root, 'instances_train.json')['annotations']
    every = read(root, 'instances_train_all.json')['annotations']
    assert {categories[item['category_id']] for item in shown} <= set(BASE_CLASSES)
    novel = [item for item in every if categories[item['category_id']] in NOVEL_CLASSES]
    assert novel
    assert len(shown) + len(novel) == len(every)
    assert {item['id'] for item in shown} < {item['id'] for item in every}


def test_lvis_json(root):
    content = read(root, 'lvis_val.json')
    letters = {item['name']: item['frequency'] for item in content['categories']}
    assert {name for name, letter in letters.items() if letter == 'r'} == set(NOVEL_CLASSES)
    assert set(letters.values()) == {'r', 'c', 'f'}
    counts = {item['id']: 0 for item in content['categories']}
    for item in content['annotations']:
        counts[item['category_id']] += 1
    for item in content['categories']:
        assert item['instance_count'] == counts[item['id']]
        assert {'synset', 'def', 'synonyms', 'image_count'} <= set(item)
    for image in content['images']:
        assert 'file_name' not in image
        assert image['coco_url'].startswith('http://images.cocodataset.org/val/')
        assert (root / '/'.join(image['coco_url'].split('/')[-2:])).is_file()
        assert image['not_exhaustive_category_ids'] == []
        present = {
            item['category_id']
            for item in content['annotations']
            if item['image_id'] == image['id']
        }
        assert not present & set(image['neg_category_ids'])
        assert present | set(image['neg_category_ids']) == set(counts)


def test_panoptic_segments_cover_the_image(root):
    content = read(root, 'panoptic_val.json')
    assert [item['name'] for item in content['categories']] == list(ALL_CLASSES)
    assert sum(item['isthing'] for item in content['categories']) == 65
    instances = COCO(root / 'annotations' / 'instances_val.json')
    for record in content['annotations']:
        rgb = np.asarray(Image.open(root / 'annotations/panoptic_val' / record['file_name']), int)
        ids = rgb @ (1, 256, 65536)
        listed = [segment['id'] for segment in record['segments_info']]
        assert len(set(listed)) == len(listed)
        assert set(np.unique(ids)) - {0} == set(listed)
        things = []
        for segment in record['segments_info']:
            mask = ids == segment['id']
            assert mask.sum() == segment['area']
            rle = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))
            assert coco_mask.toBbox(rle).tolist() == segment['bbox']
            if segment['category_id'] <= 65:
                things.append((segment['category_id'], segment['area'], segment['bbox']))
        assert things == [
            (item['category_id'], item['area'], item['bbox'])
            for item in instances.imgToAnns[record['image_id']]
        ]


def test_hidden_objects_are_void_in_the_panoptic_map():
    """Object 0 shows 4 of 100 pixels: no segment, id 0; the ring of object 1 stays."""
    object_map = np.zeros((32, 32), np.uint8)
    object_map[0:2, 0:2] = 1
    object_map[10:20, 10:20] = 2
    scene = Scene(
        np.zeros((32, 32, 3), np.uint8),
        object_map,
        np.full((32, 32), 3, np.uint8),
        [SceneObject(0, [], 100, 4), SceneObject(64, [], 100, 100)],
    )
    ids, segments = panoptic_of(scene)
    assert [item['category_id'] for item in segments] == [65, 69]
    assert [item['area'] for item in segments] == [100, 32 * 32 - 104]
    assert segments[0]['bbox'] == [10, 10, 10, 10]
    assert (ids[0:2, 0:2] == 0).all()
    assert (ids == 0).sum() == 4


def test_captions_name_the_objects(root):
    captions = read(root, 'captions_val.json')['annotations']
    instances = COCO(root / 'annotations' / 'instances_val.json')
    assert len(captions) == 2 * 16
    assert [item['id'] for item in captions] == list(range(1, 33))
    full = {item['image_id']: item['caption'].lower() for item in captions[::2]}
    for image_id, text in full.items():
        for item in instances.imgToAnns[image_id]:
            assert f'a {THING_CLASSES[item["category_id"] - 1]}' in text


def test_a_scene_without_objects_has_a_caption():
    empty = Scene(
        np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8), np.uint8), np.ones((8, 8), np.uint8)
    )
    for text in captions_of(empty, np.random.default_rng(0)):
        assert text.lower().endswith('nothing on water.')


def test_files_do_not_depend_on_the_number_of_workers(root, tmp_path):
    assert export_shapes_ov(tmp_path / 'again', SPEC, workers=2)
    assert digests(tmp_path / 'again') == digests(root)


def test_longer_split_starts_with_the_shorter_one(root, tmp_path):
    export_shapes_ov(tmp_path / 'more', ShapesOV(train=2, val=17, size=128, seed=5))
    mine, more = digests(root / 'val'), digests(tmp_path / 'more' / 'val')
    assert mine.items() < more.items()


def test_complete_data_set_is_reused_and_others_are_replaced(tmp_path):
    out = tmp_path / 'set'
    spec = ShapesOV(train=2, val=2, size=64)
    assert not is_complete(out, spec)
    assert export_shapes_ov(out, spec)
    before = digests(out)
    assert is_complete(out, spec)
    picture = out / 'val' / '000000500001.jpg'
    stamp = picture.stat().st_mtime_ns
    assert not export_shapes_ov(out, spec)
    assert picture.stat().st_mtime_ns == stamp
    # Other parameters: written anew.
    assert export_shapes_ov(out, ShapesOV(train=3, val=2, size=64))
    assert len(list((out / 'train').iterdir())) == 3

    # Interrupted in the middle of the second split: no manifest, done again, same bytes.
    def interrupt(items, desc, **_):
        if desc == 'val':
            raise KeyboardInterrupt
        return items

    with pytest.raises(KeyboardInterrupt):
        export_shapes_ov(out, spec, progress=interrupt)
    assert not is_complete(out, spec)
    assert export_shapes_ov(out, spec)
    assert digests(out) == before


def test_folder_with_other_content_raises(tmp_path):
    (tmp_path / 'train').mkdir()
    (tmp_path / 'train' / 'precious.txt').write_text('mine')
    with pytest.raises(FileExistsError, match=r'shapes_ov\.json'):
        export_shapes_ov(tmp_path, ShapesOV(train=1, val=1, size=64))
    assert (tmp_path / 'train' / 'precious.txt').read_text() == 'mine'


@pytest.mark.parametrize(
    'values', [{'train': 0}, {'val': 500_001}, {'size': 32}, {'size': 4096}, {'seed': -1}]
)
def test_invalid_parameters_raise(values):
    (value,) = values.values()
    with pytest.raises(ValueError, match=rf' {value}\b'):
        ShapesOV(**values)
