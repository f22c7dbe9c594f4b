"""What a teacher store saves: seconds a step, counted FLOPs, and how often regions recur.

    python benchmarks/teacher_store.py --json work_dirs/teacher_store.json

1. The tiny CLIP on Shapes-OV, boxes without jitter in the place of proposals: the first epoch fills
   the store, the second finds all in it. Each batch is loaded and trained on without and with the
   store in turn, timed by the CPU time of this process.
2. The teacher's share of the FLOPs of a step, counted for the paper's towers.
3. Which share of grid cells has been drawn before, simulated without images.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.registry import MODELS
from mmengine.runner import Runner
from torch.utils.data import DataLoader

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.counting import SHAPES, distillation_flops
from clipself_mm.datasets import GridRegions
from clipself_mm.datasets.draw import generator_of
from clipself_mm.datasets.samplers import grid_boxes, grid_choices
from clipself_mm.datasets.transforms.crop_regions import whole_pixels

ROOT = Path(__file__).resolve().parents[1]
CONFIG = ROOT / 'configs/shapes/clipself_tiny_proposals_shapes-ov.py'
REAL = [  # model, student px, crop px, crops an image
    ('EVA02-B-16', 1024, 224, 20),
    ('EVA02-B-16', 1024, 224, 10),
    ('EVA02-B-16', 512, 224, 12),
    ('EVA02-L-14-336', 896, 336, 20),
    ('EVA02-L-14-336', 896, 336, 10),
]


def run(images: int, data_root: str, folder: str | None) -> tuple[torch.nn.Module, DataLoader]:
    """Model in training mode and its data loader; with a store if a folder is given."""
    config = Config.fromfile(CONFIG)
    dataset = config.train_dataloader.dataset
    dataset.update(data_root=data_root, indices=images)
    dataset.pipeline[1].sampler.jitter = 0.0
    if folder is not None:
        dataset.pipeline[2].update(type='CropUnstoredRegions', folder=folder)
        config.model.teacher_store = dict(folder=folder)
    torch.manual_seed(0)
    model = MODELS.build(config.model).train()
    return model, Runner.build_dataloader(config.train_dataloader, seed=0)


def measure_steps(images: int, data_root: str, epochs: int = 2) -> dict[str, dict[str, float]]:
    """Median milliseconds of loading a batch and of training on it, by epoch and way."""
    clock = time.process_time
    with tempfile.TemporaryDirectory() as folder:
        ways = {
            way: run(images, data_root, None if way == 'without' else folder)
            for way in ('without', 'with')
        }
        steps = {
            way: torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-5)
            for way, (model, _) in ways.items()
        }
        results = {}
        for epoch in range(epochs):
            loaders = {}
            for way, (_, loader) in ways.items():
                loader.sampler.set_epoch(epoch)
                loaders[way] = iter(loader)
            times = {way: dict(load=[], train=[], crops=0) for way in ways}
            for _, way in itertools.product(range(len(ways['with'][1])), ways):
                model, record = ways[way][0], times[way]
                start = clock()
                batch = next(loaders[way])
                loaded = clock()
                data = model.data_preprocessor(batch, True)
                steps[way].zero_grad()
                model(**data, mode='loss')['loss_cosine'].backward()
                steps[way].step()
                record['load'].append(1e3 * (loaded - start))
                record['train'].append(1e3 * (clock() - loaded))
                record['crops'] += len(data['inputs']['crops'])
            for way, record in times.items():
                results[f'epoch {epoch + 1}, {way}'] = dict(
                    load_ms=statistics.median(record['load']),
                    train_ms=statistics.median(record['train']),
                    crops=record['crops'],
                )
        return results


def teacher_share(model: str, side: int, crop_side: int, crops: int) -> dict[str, float | str]:
    """Share of the teacher in a step's FLOPs, and the ratio of a step with it to one without."""
    flops = distillation_flops(SHAPES[model], side, crop_side, crops)
    rest = flops.total - flops.teacher
    return dict(
        step=f'{model}, {side} px',
        crops=crops,
        teacher_tflops=flops.teacher / 1e12,
        total_tflops=flops.total / 1e12,
        teacher_share=flops.teacher / flops.total,
        ratio=flops.total / rest,
    )


def recurrence(images: int, epochs: int, max_split: int = 6, max_regions: int = 20) -> list[dict]:
    """How many cells of an epoch were drawn in an earlier one, for images of 640 x 480."""
    sampler = GridRegions(max_split=max_split, max_regions=max_regions)
    known: list[set] = [set() for _ in range(images)]
    rows = []
    for epoch in range(epochs):
        drawn = found = 0
        for image, cells in enumerate(known):
            results = dict(ori_shape=(480, 640))
            _, boxes_src = sampler(results, generator_of((0, epoch, image)))
            corners = {whole_pixels(box_src, 480, 640) for box_src in boxes_src}
            drawn, found = drawn + len(corners), found + len(corners & cells)
            cells |= corners
        stored = sum(map(len, known)) / images
        rows.append(dict(epoch=epoch + 1, found=found / drawn, stored_per_image=stored))
    return rows


def distinct_cells(max_split: int = 6) -> int:
    """How many different cells the grids of an image of 640 x 480 have."""
    boxes = [grid_boxes(480, 640, *choice) for choice in grid_choices(max_split)]
    return len({whole_pixels(box_src, 480, 640) for grid in boxes for box_src in grid})


def main() -> None:
    """Measures, prints, writes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--images', type=int, default=60, help='images of the timed epochs')
    parser.add_argument('--data-root', default=f'{ROOT}/data/shapes_ov/')
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--grid-images', type=int, default=600)
    parser.add_argument('--grid-epochs', type=int, default=14)
    parser.add_argument('--json', help='file to write all figures to')
    args = parser.parse_args()
    torch.set_num_threads(args.threads)

    steps = measure_steps(args.images, args.data_root)
    print(f'{"tiny CLIP, CPU time a step":<28}{"load ms":>9}{"train ms":>9}{"crops":>7}')
    for name, row in steps.items():
        print(f'{name:<28}{row["load_ms"]:>9.1f}{row["train_ms"]:>9.1f}{row["crops"]:>7}')
    plain, stored = steps['epoch 2, without'], steps['epoch 2, with']
    ratios = {key: plain[key] / stored[key] for key in ('load_ms', 'train_ms')}
    ratios['all'] = sum(plain[k] for k in ratios) / sum(stored[k] for k in ratios)
    print('a full store is faster by: ' + ', '.join(f'{k} {v:.2f}x' for k, v in ratios.items()))

    print(f'\n{"counted, 1 image a step":<28}{"crops":>6}{"TFLOPs":>8}{"teacher":>9}{"ratio":>7}')
    shares = [teacher_share(*row) for row in REAL]
    for row in shares:
        print(
            f'{row["step"]:<28}{row["crops"]:>6}{row["total_tflops"]:>8.2f}'
            f'{row["teacher_share"]:>9.1%}{row["ratio"]:>6.2f}x'
        )

    cells = distinct_cells()
    rows = recurrence(args.grid_images, args.grid_epochs)
    print(f'\ngrid cells of {args.grid_images} images; an image of 640 x 480 has {cells}')
    print(f'{"epoch":>5}{"found":>8}{"stored an image":>17}')
    for row in rows:
        print(f'{row["epoch"]:>5}{row["found"]:>8.1%}{row["stored_per_image"]:>17.1f}')
    mean = statistics.mean(row['found'] for row in rows)
    print(f' mean{mean:>8.1%}')
    if args.json:
        content = dict(steps=steps, ratios=ratios, shares=shares, cells=cells, grid=rows)
        Path(args.json).write_text(json.dumps(content, indent=1))


if __name__ == '__main__':
    main()
