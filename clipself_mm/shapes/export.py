"""Writes Shapes-OV to disk in COCO's own layout, for every tool that reads COCO or LVIS.

Same parameters, same bytes. A complete set is recognised by its manifest and reused.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from .annotation_records import (
    Record,
    captions_of,
    instance_of,
    lvis_categories,
    panoptic_categories,
    panoptic_of,
    thing_categories,
)
from .classes import (
    NOVEL_CLASSES,
    THING_CLASSES,
)
from .scene import SceneStyle
from .scenes import render_scene

FORMAT_VERSION = 2
"""Raised when the renderer or the files change: sets on disk are then written anew."""
MANIFEST = 'shapes_ov.json'
FIRST_SCENE = {'train': 0, 'val': 500_000}
"""Scene index of a split's first image: a longer split begins with the shorter one's images."""
JPEG_QUALITY = 92
LVIS_URL = 'http://images.cocodataset.org/'
"""LVIS names images by COCO's address; only the last two parts of the path mean something here."""


@dataclass(frozen=True)
class ShapesOV:
    """What a data set on disk depends on.

    Attributes:
        train: Number of training images.
        val: Number of validation images.
        size: Side of the images in pixels.
        seed: Seed of the renderer.
    """

    train: int = 600
    val: int = 240
    size: int = 256
    seed: int = 0

    @property
    def style(self) -> SceneStyle:
        """Scenes a notch calmer than those the tiny CLIP is trained on.

        Objects differ less in size, turn less and hardly cover each other, so that a distillation
        of minutes has something to show.
        """
        return SceneStyle(size=self.size, side=(0.2, 0.36), max_angle=15, max_cover=0.1)

    def __post_init__(self) -> None:
        """Checks the numbers.

        Raises:
            ValueError: If a split would run into the next one or a scene would be too small.
        """
        room = FIRST_SCENE['val'] - FIRST_SCENE['train']
        if not (0 < self.train <= room and 0 < self.val <= room):
            raise ValueError(f'1 to {room} images a split, got {self.train} train, {self.val} val')
        if not 64 <= self.size <= 2048:
            raise ValueError(f'images of 64 to 2048 px, got {self.size}')
        if self.seed < 0:
            raise ValueError(f'a seed of 0 or more, got {self.seed}')


def is_complete(out: Path, spec: ShapesOV) -> bool:
    """Whether a folder holds this very data set, written to the end."""
    try:
        manifest = json.loads((out / MANIFEST).read_text(encoding='utf-8'))
    except (OSError, ValueError):
        return False
    return manifest == json.loads(json.dumps(_manifest(spec)))


def export_shapes_ov(
    out: Path,
    spec: ShapesOV,
    workers: int = 1,
    progress: Callable[..., Iterable] | None = None,
) -> bool:
    """Writes images and annotations; the manifest comes last.

    Args:
        out: Folder of the data set. Of an incomplete or different set in it, the folders `train`,
            `val` and `annotations` are replaced.
        spec: What to render.
        workers: Processes that render; the bytes do not depend on it.
        progress: Wraps the iteration over images, for example ``tqdm``; takes `total`, `desc`.

    Returns:
        False if the folder held this very set already and was left as it is.

    Raises:
        FileExistsError: If the folder has content but no sign of being a Shapes-OV set.
    """
    out = Path(out)
    if is_complete(out, spec):
        return False
    _clear(out)
    for split, count in (('train', spec.train), ('val', spec.val)):
        (out / split).mkdir(parents=True)
        (out / 'annotations' / f'panoptic_{split}').mkdir(parents=True)
        jobs = [(out, spec, split, number) for number in range(count)]
        stream = _run(jobs, workers)
        records = list(progress(stream, total=count, desc=split) if progress else stream)
        _write_annotations(out / 'annotations', split, records)
    _write_json(out / MANIFEST, _manifest(spec))
    return True


def _manifest(spec: ShapesOV) -> Record:
    return {
        'name': 'Shapes-OV',
        'format': FORMAT_VERSION,
        **asdict(spec),
        'style': asdict(spec.style),
    }


def _clear(out: Path) -> None:
    """Removes an earlier set; a mark tells a half-written set from somebody's folder."""
    mark = out / f'{MANIFEST}.part'
    if out.exists() and any(out.iterdir()) and not (mark.exists() or (out / MANIFEST).exists()):
        raise FileExistsError(f'{out} is not empty and holds no {MANIFEST}: choose another folder')
    out.mkdir(parents=True, exist_ok=True)
    mark.touch()
    (out / MANIFEST).unlink(missing_ok=True)
    for folder in ('train', 'val', 'annotations'):
        shutil.rmtree(out / folder, ignore_errors=True)


def _run(jobs: list[tuple[Path, ShapesOV, str, int]], workers: int) -> Iterator[Record]:
    if workers <= 1:
        yield from map(_write_scene, jobs)
        return
    with ProcessPoolExecutor(workers) as pool:
        yield from pool.map(_write_scene, jobs, chunksize=8)


def _write_scene(job: tuple[Path, ShapesOV, str, int]) -> Record:
    """Writes one JPEG and its panoptic PNG; returns the annotations of the image."""
    out, spec, split, number = job
    index = FIRST_SCENE[split] + number
    scene = render_scene(spec.seed, index, spec.style)
    image_id = index + 1
    name = f'{image_id:012d}'
    Image.fromarray(scene.image).save(
        out / split / f'{name}.jpg', quality=JPEG_QUALITY, subsampling=0
    )
    ids, segments = panoptic_of(scene)
    rgb = np.stack([ids % 256, ids // 256 % 256, ids // 256**2], axis=-1).astype(np.uint8)
    Image.fromarray(rgb).save(out / 'annotations' / f'panoptic_{split}' / f'{name}.png')
    return {
        'image': {
            'id': image_id,
            'file_name': f'{name}.jpg',
            'coco_url': f'{LVIS_URL}{split}/{name}.jpg',
            'height': spec.size,
            'width': spec.size,
            'license': 1,
        },
        'instances': [instance_of(scene, number) for number in scene.annotated()],
        'segments': segments,
        'captions': captions_of(scene, np.random.default_rng([spec.seed, index, 1])),
    }


def _write_annotations(folder: Path, split: str, records: list[Record]) -> None:
    images = [record['image'] for record in records]
    pairs = [(record['image']['id'], item) for record in records for item in record['instances']]
    every = [
        {'id': number, 'image_id': image_id, **instance}
        for number, (image_id, instance) in enumerate(pairs, start=1)
    ]
    head = {
        'info': {'description': f'Shapes-OV {split}', 'version': str(FORMAT_VERSION)},
        'licenses': [{'id': 1, 'name': 'Apache-2.0', 'url': ''}],
        'images': images,
    }
    shown = every
    if split == 'train':
        novel = {THING_CLASSES.index(name) + 1 for name in NOVEL_CLASSES}
        shown = [instance for instance in every if instance['category_id'] not in novel]
        _write_json(
            folder / 'instances_train_all.json',
            {**head, 'annotations': every, 'categories': thing_categories()},
        )
    _write_json(
        folder / f'instances_{split}.json',
        {**head, 'annotations': shown, 'categories': thing_categories()},
    )
    _write_json(folder / f'lvis_{split}.json', _lvis(head, shown))
    _write_json(
        folder / f'panoptic_{split}.json',
        {
            **head,
            'annotations': [
                {
                    'image_id': record['image']['id'],
                    'file_name': record['image']['file_name'].replace('.jpg', '.png'),
                    'segments_info': record['segments'],
                }
                for record in records
            ],
            'categories': panoptic_categories(),
        },
    )
    sentences = [(record['image']['id'], text) for record in records for text in record['captions']]
    _write_json(
        folder / f'captions_{split}.json',
        {
            **head,
            'annotations': [
                {'id': number, 'image_id': image_id, 'caption': text}
                for number, (image_id, text) in enumerate(sentences, start=1)
            ],
        },
    )


def _lvis(head: Record, instances: list[Record]) -> Record:
    """The LVIS file: all classes were looked for in every image."""
    present: dict[int, set[int]] = {image['id']: set() for image in head['images']}
    for instance in instances:
        present[instance['image_id']].add(instance['category_id'])
    every = range(1, len(THING_CLASSES) + 1)
    images = [
        {
            **{key: value for key, value in image.items() if key != 'file_name'},
            'neg_category_ids': [number for number in every if number not in present[image['id']]],
            'not_exhaustive_category_ids': [],
        }
        for image in head['images']
    ]
    return {
        **head,
        'images': images,
        'annotations': instances,
        'categories': lvis_categories(instances),
    }


def _write_json(path: Path, content: Record) -> None:
    """Writes a file that is either whole or absent."""
    part = path.with_name(f'{path.name}.part')
    part.write_text(json.dumps(content, separators=(',', ':')), encoding='utf-8')
    os.replace(part, path)
