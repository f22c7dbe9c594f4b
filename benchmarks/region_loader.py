"""Images a second and core of the region data loader: reference mode, exact and fast pipeline.

    python -m benchmarks.region_loader

The three make the same regions of the same JPEG files in turn, batch by batch, in one thread of one
process; processor time is counted and the median over the rounds printed. The pictures are smooth
noise with shapes, written to a temporary folder. The last table says how far the teacher's
embeddings of the fast pipeline's crops are from those of the exact one's, on Shapes-OV (`python
tools/make_shapes_ov.py` writes it).
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import torch
from mmengine.config import Config

import clipself_mm  # noqa: F401 - registers the types
from benchmarks.crop_agreement import backend_agreement
from benchmarks.machine import copy_rate
from benchmarks.region_photos import write_samples
from benchmarks.timed_loader import BATCH, measure
from clipself_mm.clip import build_tower

CONFIG = 'configs/_base_/datasets/coco_patches.py'
TINY_CLIP = 'pkg:clipself_mm.shapes/tiny_clip'


def parse() -> argparse.Namespace:
    """Reads the options."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--config', default=CONFIG, help='patches or proposals; gives the sizes')
    parser.add_argument('--photo', type=int, nargs=2, default=(640, 480), metavar=('W', 'H'))
    parser.add_argument('--images', type=int, default=16, help='photos, an even number')
    parser.add_argument('--rounds', type=int, default=5, help='passes over the photos')
    parser.add_argument('--shapes', type=Path, default=Path('data/shapes_ov'))
    parser.add_argument('--scenes', type=int, default=40, help='scenes of Shapes-OV; 0: no cosine')
    parser.add_argument('--teacher', default=TINY_CLIP, help='a model without weights is random')
    parser.add_argument('--json', type=Path, help='also write the figures to this file')
    options = parser.parse_args()
    if options.images < BATCH or options.images % BATCH:
        parser.error(f'--images is a multiple of {BATCH}, not {options.images}')
    if options.scenes and not options.shapes.is_dir():
        parser.error(f'{options.shapes}: no such folder; tools/make_shapes_ov.py writes it')
    return options


def print_speed(speed: dict[str, dict], copy: float) -> None:
    """Prints the counts and the table of the three loaders."""
    counts = speed['counts']
    print(
        f'per image: {counts["regions"]:.1f} regions, {counts["decoded_bytes"] / 1e6:.2f} MB '
        f'decoded, {counts["crop_products"] / 1e6:.0f} M products for the crops, '
        f'{counts["image_products"] / 1e6:.0f} M for the image'
    )
    print(f'{"":<11}{"images/s":>9}{"x ref.":>8}{"MB":>7}{"of copy":>9}{"decode":>8}  ms per image')
    reference = speed['reference']['images_per_second']
    for name in ('reference', 'exact', 'fast'):
        row = speed[name]
        moved = (counts['decoded_bytes'] + row['bytes']) * row['images_per_second']
        decode = row['ms']['LoadRGB'] / sum(row['ms'].values())
        steps = ', '.join(f'{step} {ms:.2f}' for step, ms in row['ms'].items())
        print(
            f'{name:<11}{row["images_per_second"]:>9.1f}'
            f'{row["images_per_second"] / reference:>8.2f}{row["bytes"] / 1e6:>7.2f}'
            f'{moved / copy:>9.1%}{decode:>8.0%}  {steps}'
        )
    print(f'left to the model by exact and fast: {counts["normalise_ms"]:.2f} ms on this processor')


def main() -> None:
    """Measures and prints."""
    options = parse()
    torch.set_num_threads(1)
    pipeline = Config.fromfile(options.config).train_dataloader.dataset.pipeline
    with tempfile.TemporaryDirectory() as folder:
        samples = write_samples(Path(folder), options.images, *options.photo)
        figures = dict(speed=measure(pipeline, samples, options.rounds), copy_rate=copy_rate())
    print_speed(figures['speed'], figures['copy_rate'])
    if options.scenes:
        tower = build_tower(options.teacher).eval()
        size = next(step['size'] for step in pipeline if step['type'] == 'CropRegions')
        size = 64 if options.teacher == TINY_CLIP else size
        for backend in ('torch', 'device'):
            found = backend_agreement(tower, options.shapes, options.scenes, size, backend)
            figures[f'agreement_{backend}'] = found
            print(f'{backend} against pillow, crops of {size} px, teacher {options.teacher}')
            for kind, row in found.items():
                cells = ', '.join(f'{name} {value:.4g}' for name, value in row.items())
                print(f'  {kind:<6}{cells}')
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + '\n')


if __name__ == '__main__':
    main()
