"""Small COCO-style datasets on disk for the tests of this folder."""

import json

import numpy as np
from PIL import Image


def photo(width, height, seed=0):
    """Return a random RGB image."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    return Image.fromarray(pixels)


def write_images(folder, sizes):
    """Write PNG files 0.png, 1.png, ... of the given (width, height); return json entries."""
    folder.mkdir(parents=True, exist_ok=True)
    entries = []
    for number, (width, height) in enumerate(sizes):
        photo(width, height, number).save(folder / f'{number}.png')
        entries.append(dict(id=number, file_name=f'{number}.png', width=width, height=height))
    return entries


def write_json(path, **content):
    """Write an annotation file and return its path."""
    path.write_text(json.dumps(content))
    return str(path)


def box(image_id, bbox, number=1, **more):
    """Return an annotation."""
    return dict(dict(id=number, image_id=image_id, category_id=1, bbox=bbox), **more)


def training_pipeline(sampler, crop_size=8, size=32):
    """Return the pipeline of a distillation."""
    return [
        dict(type='LoadRGB'),
        dict(type='SampleRegions', regions=sampler),
        dict(type='CropRegions', size=crop_size),
        dict(type='ResizeLongest', size=size),
        dict(type='PackRegions'),
    ]
