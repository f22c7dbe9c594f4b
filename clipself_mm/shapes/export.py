"""Export of rendered scenes in the layout of COCO, with COCO, LVIS and panoptic annotations.

The files are a deterministic function of the parameters. A complete data set has a manifest and is
not written again.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from clipself_mm.io.atomic_write import save_json

from .annotation_records import (
    Record,
    captions_of,
    instance_of,
    lvis_categories,
    panoptic_categories,
    panoptic_of,
    thing_categories,
)
from .scene import SceneStyle
from .scene_set import SceneSet
from .shapes_ov import SHAPES_OV

FORMAT_VERSION = 2
"""Increase it when the renderer or the files change: data sets on disk are then replaced."""
MANIFEST = SHAPES_OV.manifest
FIRST_SCENE = {'train': 0, 'val': 500_000}
"""Scene index of the first image per split. A longer split starts with the images of a shorter."""
JPEG_QUALITY = 92
LVIS_URL = 'http://images.cocodataset.org/'
"""Prefix of `coco_url`: LVIS takes the image path from the last two parts of this URL."""


@dataclass(frozen=True)
class SceneSplits:
    """Parameters of a data set on disk.

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

    def __post_init__(self) -> None:
        """Check the parameters.

        Raises:
            ValueError: The splits overlap, the image size is out of range, or the seed is negative.
        """
        most = FIRST_SCENE['val'] - FIRST_SCENE['train']
        if not (0 < self.train <= most and 0 < self.val <= most):
            raise ValueError(
                f'expected 1 to {most} images per split, got train {self.train}, val {self.val}'
            )
        if not 64 <= self.size <= 2048:
            raise ValueError(f'size: expected 64 to 2048 px, got {self.size}')
        if self.seed < 0:
            raise ValueError(f'seed: expected 0 or more, got {self.seed}')


@dataclass(frozen=True)
class ShapesOV(SceneSplits):
    """Parameters of Shapes-OV on disk."""

    @property
    def style(self) -> SceneStyle:
        """Style of the scenes."""
        return replace(SHAPES_OV.exported, size=self.size)


_Job = tuple[Path, SceneSplits, SceneSet, str, int]


def is_complete(out: Path, spec: SceneSplits, scenes: SceneSet = SHAPES_OV) -> bool:
    """Whether a folder has the complete data set with these parameters."""
    try:
        manifest = json.loads((out / scenes.manifest).read_text(encoding='utf-8'))
    except (OSError, ValueError):
        return False
    return manifest == json.loads(json.dumps(_manifest(spec, scenes)))


def export_shapes_ov(
    out: Path,
    spec: ShapesOV,
    workers: int = 1,
    progress: Callable[..., Iterable] | None = None,
) -> bool:
    """Write Shapes-OV: `export_scenes` of its scenes."""
    return export_scenes(out, spec, SHAPES_OV, workers, progress)


def export_scenes(
    out: Path,
    spec: SceneSplits,
    scenes: SceneSet,
    workers: int = 1,
    progress: Callable[..., Iterable] | None = None,
) -> bool:
    """Write images and annotations, then the manifest.

    Args:
        out: Folder of the data set. In an incomplete or different data set, `train`, `val` and
            `annotations` are replaced.
        spec: Parameters of the data set.
        scenes: Its classes and renderer.
        workers: Number of processes; does not affect the files.
        progress: Wraps the iteration over images, for example ``tqdm``; takes `total`, `desc`.

    Returns:
        False if the folder was complete and nothing was written.

    Raises:
        FileExistsError: The folder is not empty and is not such a data set.
    """
    out = Path(out)
    if is_complete(out, spec, scenes):
        return False
    _clear(out, scenes.manifest)
    for split, count in (('train', spec.train), ('val', spec.val)):
        (out / split).mkdir(parents=True)
        (out / 'annotations' / f'panoptic_{split}').mkdir(parents=True)
        jobs = [(out, spec, scenes, split, number) for number in range(count)]
        stream = _run(jobs, workers)
        records = list(progress(stream, total=count, desc=split) if progress else stream)
        _write_annotations(out / 'annotations', split, records, scenes)
    save_json(_manifest(spec, scenes), out / scenes.manifest)
    _marker(out, scenes.manifest).unlink()
    return True


def _manifest(spec: SceneSplits, scenes: SceneSet) -> Record:
    return {
        'name': scenes.name,
        'format': FORMAT_VERSION,
        **asdict(spec),
        'style': asdict(replace(scenes.exported, size=spec.size)),
        **({'source': scenes.source} if scenes.source else {}),
    }


def _marker(out: Path, manifest: str) -> Path:
    """File that exists while the data set is incomplete."""
    return out / f'{manifest}.part'


def _clear(out: Path, manifest: str) -> None:
    """Remove an earlier data set, complete or not, but no other folder's content."""
    marker = _marker(out, manifest)
    if out.exists() and any(out.iterdir()) and not (marker.exists() or (out / manifest).exists()):
        raise FileExistsError(f'{out} is not empty and has no {manifest}: choose another folder')
    out.mkdir(parents=True, exist_ok=True)
    marker.touch()
    (out / manifest).unlink(missing_ok=True)
    for folder in ('train', 'val', 'annotations'):
        shutil.rmtree(out / folder, ignore_errors=True)


def _run(jobs: list[_Job], workers: int) -> Iterator[Record]:
    if workers <= 1:
        yield from map(_write_scene, jobs)
        return
    with ProcessPoolExecutor(workers) as pool:
        yield from pool.map(_write_scene, jobs, chunksize=8)


def _write_scene(job: _Job) -> Record:
    """Write one JPEG and its panoptic PNG; return the annotations of the image."""
    out, spec, scenes, split, number = job
    index = FIRST_SCENE[split] + number
    scene = scenes.render(spec.seed, index, replace(scenes.exported, size=spec.size))
    image_id = index + 1
    name = f'{image_id:012d}'
    Image.fromarray(scene.image).save(
        out / split / f'{name}.jpg', quality=JPEG_QUALITY, subsampling=0
    )
    ids, segments = panoptic_of(scene, scenes)
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
        'captions': captions_of(scene, np.random.default_rng([spec.seed, index, 1]), scenes),
    }


def _write_annotations(folder: Path, split: str, records: list[Record], scenes: SceneSet) -> None:
    images = [record['image'] for record in records]
    pairs = [(record['image']['id'], item) for record in records for item in record['instances']]
    instances = [
        {'id': number, 'image_id': image_id, **instance}
        for number, (image_id, instance) in enumerate(pairs, start=1)
    ]
    head = {
        'info': {'description': f'{scenes.name} {split}', 'version': str(FORMAT_VERSION)},
        'licenses': [{'id': 1, 'name': 'Apache-2.0', 'url': ''}],
        'images': images,
    }
    if split == 'train':
        save_json(
            {**head, 'annotations': instances, 'categories': thing_categories(scenes)},
            folder / 'instances_train_all.json',
        )
        novel = {scenes.things.classes.index(name) + 1 for name in scenes.things.novel}
        instances = [instance for instance in instances if instance['category_id'] not in novel]
    save_json(
        {**head, 'annotations': instances, 'categories': thing_categories(scenes)},
        folder / f'instances_{split}.json',
    )
    save_json(_lvis(head, instances, scenes), folder / f'lvis_{split}.json')
    save_json(
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
            'categories': panoptic_categories(scenes),
        },
        folder / f'panoptic_{split}.json',
    )
    sentences = [(record['image']['id'], text) for record in records for text in record['captions']]
    save_json(
        {
            **head,
            'annotations': [
                {'id': number, 'image_id': image_id, 'caption': text}
                for number, (image_id, text) in enumerate(sentences, start=1)
            ],
        },
        folder / f'captions_{split}.json',
    )


def _lvis(head: Record, instances: list[Record], scenes: SceneSet) -> Record:
    """LVIS json. Annotations are exhaustive: classes without instances are negatives."""
    present: dict[int, set[int]] = {image['id']: set() for image in head['images']}
    for instance in instances:
        present[instance['image_id']].add(instance['category_id'])
    all_ids = range(1, len(scenes.things.classes) + 1)
    images = [
        {
            **{key: value for key, value in image.items() if key != 'file_name'},
            'neg_category_ids': [
                number for number in all_ids if number not in present[image['id']]
            ],
            'not_exhaustive_category_ids': [],
        }
        for image in head['images']
    ]
    return {
        **head,
        'images': images,
        'annotations': instances,
        'categories': lvis_categories(instances, scenes),
    }
