"""What COCO's, LVIS's and the panoptic json say about one scene and about the classes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from .classes import (
    NOVEL_SHAPES,
    SHAPES,
    STUFF_CLASSES,
    THING_CLASSES,
    colour_of,
    shape_of,
)
from .scene import Scene, mask_box

Record = dict[str, Any]


def instance_of(scene: Scene, number: int) -> Record:
    """Describes one object as COCO does.

    Args:
        scene: The scene.
        number: Which of its objects.

    Returns:
        category_id, segmentation (a polygon if the object is wholly seen and has no hole, else
        compressed RLE), area and bbox [x, y, w, h] of the seen pixels, iscrowd.
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


def panoptic_of(scene: Scene) -> tuple[np.ndarray, list[Record]]:
    """Describes a scene as COCO panoptic does.

    Args:
        scene: The scene.

    Returns:
        Map of segment ids, int (size, size), 0 where an object is too hidden to be annotated, and
        the segments' records: things in drawing order, then stuff.
    """
    ids = np.zeros(scene.object_map.shape, np.int64)
    segments: list[Record] = []
    parts = [(scene.objects[n].label + 1, scene.visible_mask(n)) for n in scene.annotated()]
    free = scene.object_map == 0
    for kind in np.unique(scene.stuff_map[free]):
        parts.append((len(THING_CLASSES) + int(kind) + 1, free & (scene.stuff_map == kind)))
    for place, (category_id, mask) in enumerate(parts, start=1):
        # Ids spread over all three bytes of the PNG, as COCO's do.
        segment_id = category_id + 256 * place + 65536 * (category_id % 7)
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


def captions_of(scene: Scene, rng: np.random.Generator) -> list[str]:
    """Writes two captions: all objects and the ground, then at most three objects of them."""
    names = [scene.objects[number].name for number in scene.annotated()]
    kinds, counts = np.unique(scene.stuff_map[scene.object_map == 0], return_counts=True)
    ground = ' and '.join(STUFF_CLASSES[kind] for kind in kinds[np.argsort(-counts)][:2])
    sentences = []
    for limit in (len(names), 3):
        some = [f'a {names[place]}' for place in rng.permutation(len(names))[:limit]]
        listing = ' and '.join(filter(None, [', '.join(some[:-1]), *some[-1:]])) or 'nothing'
        opening = ('', 'A photo of ', 'There is ')[int(rng.integers(3))]
        sentence = f'{opening}{listing} on {ground}.'
        sentences.append(sentence[0].upper() + sentence[1:])
    return sentences


def thing_categories() -> list[Record]:
    """COCO's category records of the 65 things; the supercategory is the shape."""
    return [
        {'id': label + 1, 'name': name, 'supercategory': shape_of(label)}
        for label, name in enumerate(THING_CLASSES)
    ]


def panoptic_categories() -> list[Record]:
    """COCO panoptic's category records of things, then stuff, with a colour to draw each."""
    records = [{**record, 'isthing': 1} for record in thing_categories()]
    for place, name in enumerate(STUFF_CLASSES):
        records.append(
            {
                'id': len(THING_CLASSES) + place + 1,
                'name': name,
                'supercategory': 'stuff',
                'isthing': 0,
            }
        )
    for record in records:
        record['color'] = [record['id'] * step % 256 for step in (67, 139, 29)]
    return records


def lvis_categories(instances: Iterable[Record]) -> list[Record]:
    """LVIS's category records: novel classes are rare, base ones common or frequent by turns.

    Args:
        instances: Annotations to count.

    Returns:
        65 records.
    """
    images: dict[int, set[int]] = {label + 1: set() for label in range(len(THING_CLASSES))}
    counts = dict.fromkeys(images, 0)
    for instance in instances:
        counts[instance['category_id']] += 1
        images[instance['category_id']].add(instance['image_id'])
    base_shapes = [shape for shape in SHAPES if shape not in NOVEL_SHAPES]
    records = []
    for label, name in enumerate(THING_CLASSES):
        shape = shape_of(label)
        letter = 'r' if shape in NOVEL_SHAPES else 'cf'[base_shapes.index(shape) % 2]
        records.append(
            {
                'id': label + 1,
                'name': name,
                'synset': f'{name.replace(" ", "_")}.n.01',
                'synonyms': [name],
                'def': f'a {shape} painted {colour_of(label)}',
                'frequency': letter,
                'image_count': len(images[label + 1]),
                'instance_count': counts[label + 1],
            }
        )
    return records
