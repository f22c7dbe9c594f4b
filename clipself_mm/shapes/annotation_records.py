"""Records of COCO, LVIS and panoptic json files for scenes and classes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from .scene import Scene, mask_box
from .scene_set import SceneSet
from .shapes_ov import SHAPES_OV

Record = dict[str, Any]


def instance_of(scene: Scene, number: int) -> Record:
    """COCO instance record of one object.

    Args:
        scene: The scene.
        number: Index of the object.

    Returns:
        category_id, segmentation (a polygon if the object is fully visible and has no hole, else
        compressed RLE), area and bbox [x, y, w, h] of the visible pixels, iscrowd.
    """
    item = scene.objects[number]
    mask = scene.visible_mask(number)
    x0, y0, x1, y1 = mask_box(mask)
    if item.visible_area == item.full_area and len(item.rings) == 1:
        segmentation: Any = [item.rings[0].ravel().tolist()]
    else:
        segmentation = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))
        segmentation['counts'] = segmentation['counts'].decode('ascii')
    return {
        'category_id': item.label + 1,
        'segmentation': segmentation,
        'area': item.visible_area,
        'bbox': [x0, y0, x1 - x0, y1 - y0],
        'iscrowd': 0,
    }


def panoptic_of(scene: Scene, scenes: SceneSet = SHAPES_OV) -> tuple[np.ndarray, list[Record]]:
    """COCO panoptic records of a scene.

    Args:
        scene: The scene.
        scenes: The set it belongs to.

    Returns:
        Map of segment ids, int64 (size, size), 0 for objects too occluded to be annotated; and the
        segment records: things in drawing order, then stuff.
    """
    ids = np.zeros(scene.object_map.shape, np.int64)
    segments: list[Record] = []
    parts = [(scene.objects[n].label + 1, scene.visible_mask(n)) for n in scene.annotated()]
    free = scene.object_map == 0
    for kind in np.unique(scene.stuff_map[free]):
        parts.append((len(scenes.things.classes) + int(kind) + 1, free & (scene.stuff_map == kind)))
    for number, (category_id, mask) in enumerate(parts, start=1):
        # Ids use all three bytes of the PNG, as in COCO.
        segment_id = category_id + 256 * number + 65536 * (category_id % 7)
        ids[mask] = segment_id
        x0, y0, x1, y1 = mask_box(mask)
        segments.append(
            {
                'id': segment_id,
                'category_id': category_id,
                'area': int(mask.sum()),
                'bbox': [x0, y0, x1 - x0, y1 - y0],
                'iscrowd': 0,
            }
        )
    return ids, segments


def captions_of(scene: Scene, rng: np.random.Generator, scenes: SceneSet = SHAPES_OV) -> list[str]:
    """Two captions: one with all objects, one with at most three; both with the stuff."""
    names = [scene.objects[number].name for number in scene.annotated()]
    kinds, counts = np.unique(scene.stuff_map[scene.object_map == 0], return_counts=True)
    ground = ' and '.join(scenes.stuff[kind] for kind in kinds[np.argsort(-counts)][:2])
    sentences = []
    for limit in (len(names), 3):
        some = [f'a {names[number]}' for number in rng.permutation(len(names))[:limit]]
        listing = ' and '.join(filter(None, [', '.join(some[:-1]), *some[-1:]])) or 'nothing'
        opening = ('', 'A photo of ', 'There is ')[int(rng.integers(3))]
        sentence = f'{opening}{listing} on {ground}.'
        sentences.append(sentence[0].upper() + sentence[1:])
    return sentences


def thing_categories(scenes: SceneSet) -> list[Record]:
    """COCO category records of the things."""
    return [
        {'id': label + 1, 'name': name, 'supercategory': group}
        for label, (name, group) in enumerate(
            zip(scenes.things.classes, scenes.groups, strict=True)
        )
    ]


def panoptic_categories(scenes: SceneSet) -> list[Record]:
    """COCO panoptic category records of things, then stuff, with colours."""
    records = [{**record, 'isthing': 1} for record in thing_categories(scenes)]
    for index, name in enumerate(scenes.stuff):
        records.append(
            {
                'id': len(scenes.things.classes) + index + 1,
                'name': name,
                'supercategory': 'stuff',
                'isthing': 0,
            }
        )
    for record in records:
        record['color'] = [record['id'] * step % 256 for step in (67, 139, 29)]
    return records


def lvis_categories(instances: Iterable[Record], scenes: SceneSet) -> list[Record]:
    """LVIS category records. Novel classes are rare, base classes common or frequent by group.

    Args:
        instances: The annotations, to count images and instances per class.
        scenes: The set with the classes.

    Returns:
        One record per thing.
    """
    names, novel = scenes.things.classes, scenes.things.novel
    images: dict[int, set[int]] = {label + 1: set() for label in range(len(names))}
    counts = dict.fromkeys(images, 0)
    for instance in instances:
        counts[instance['category_id']] += 1
        images[instance['category_id']].add(instance['image_id'])
    pairs = list(zip(names, scenes.groups, strict=True))
    base_groups = list(dict.fromkeys(group for name, group in pairs if name not in novel))
    records = []
    for label, (name, group) in enumerate(pairs):
        letter = 'r' if name in novel else 'cf'[base_groups.index(group) % 2]
        records.append(
            {
                'id': label + 1,
                'name': name,
                'synset': f'{name.replace(" ", "_")}.n.01',
                'synonyms': [name],
                'def': scenes.definitions[label],
                'frequency': letter,
                'image_count': len(images[label + 1]),
                'instance_count': counts[label + 1],
            }
        )
    return records
