"""What a teacher cache saves: seconds per step, and counted FLOPs.

    python benchmarks/teacher_cache.py --json work_dirs/teacher_cache.json

1. The tiny CLIP on Shapes-OV, boxes without jitter in place of proposals: the first epoch fills the
   cache, the second finds all in it. Each batch is loaded and trained on without and with the cache
   in turn, timed by the CPU time of this process.
2. The teacher's share of the FLOPs of a step, counted for the paper's towers.
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
    """Model in training mode and its data loader; with a cache if a folder is given."""
    config = Config.fromfile(CONFIG)
    dataset = config.train_dataloader.dataset
    dataset.update(data_root=data_root, indices=images)
    dataset.pipeline[1].regions.jitter = 0.0
    if folder is not None:
        dataset.pipeline[2].update(type='CropUncachedRegions', folder=folder)
        config.model.teacher_cache = dict(folder=folder)
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


def main() -> None:
    """Measures, prints, writes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--images', type=int, default=60, help='images of the timed epochs')
    parser.add_argument('--data-root', default=f'{ROOT}/data/shapes_ov/')
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--json', help='file to write all figures to')
    args = parser.parse_args()
    torch.set_num_threads(args.threads)

    steps = measure_steps(args.images, args.data_root)
    print(f'{"tiny CLIP, CPU time a step":<28}{"load ms":>9}{"train ms":>9}{"crops":>7}')
    for name, row in steps.items():
        print(f'{name:<28}{row["load_ms"]:>9.1f}{row["train_ms"]:>9.1f}{row["crops"]:>7}')
    plain, cached = steps['epoch 2, without'], steps['epoch 2, with']
    ratios = {key: plain[key] / cached[key] for key in ('load_ms', 'train_ms')}
    ratios['all'] = sum(plain[k] for k in ratios) / sum(cached[k] for k in ratios)
    print('a full cache is faster by: ' + ', '.join(f'{k} {v:.2f}x' for k, v in ratios.items()))

    print(f'\n{"counted, 1 image a step":<28}{"crops":>6}{"TFLOPs":>8}{"teacher":>9}{"ratio":>7}')
    shares = [teacher_share(*row) for row in REAL]
    for row in shares:
        print(
            f'{row["step"]:<28}{row["crops"]:>6}{row["total_tflops"]:>8.2f}'
            f'{row["teacher_share"]:>9.1%}{row["ratio"]:>6.2f}x'
        )
    if args.json:
        content = dict(steps=steps, ratios=ratios, shares=shares)
        Path(args.json).write_text(json.dumps(content, indent=1))


if __name__ == '__main__':
    main()
