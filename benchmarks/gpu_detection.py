"""Rows of a GPU report: predictions and training steps of F-ViT."""

from __future__ import annotations

from functools import partial
from itertools import product

import torch
from mmengine.config import Config

from benchmarks import gpu_steps
from benchmarks.gpu_bench import Bench, Rows
from benchmarks.gpu_steps import ROOT

OV_COCO = 'configs/fvit/fvit_eva02-b16_8xb8-3e_ov-coco.py'
OV_LVIS = 'configs/fvit/fvit_eva02-b16_8xb8-48e_ov-lvis.py'


def prediction_rows(bench: Bench, images: int) -> Rows:
    """Predictions: the reference, then ours by the dtype of the tower."""
    title = f'F-ViT prediction, batch {images}, B/16, 640 px'
    yield title, 'reference', 15, partial(prediction, bench, images, 'plain', 'float32', True)
    for dtype, last in product(bench.dtypes, (False, True)):
        name = f'{dtype} tower, all else in autocast{", channels last" * last}'
        run = partial(prediction, bench, images, 'ours', dtype, True, last)
        if last or not bench.quick:
            yield title, name, 12, run
    if not bench.quick and not bench.micro:
        for dtype in ('float32', *bench.dtypes):
            name = f'{dtype} tower, all else in float32'
            yield title, name, 14, partial(prediction, bench, images, 'ours', dtype, False)


def detector_config(bench: Bench, config: str) -> tuple[str, int | None]:
    """A config and the side of its images; the tiny one in its place for tiny sizes."""
    if not bench.micro:
        return config, None
    masks = '-lvis' if config == OV_LVIS else ''
    return f'configs/shapes/fvit_tiny_shapes-ov{masks}.py', 64


def prediction(
    bench: Bench, images: int, mode: str, dtype: str, autocast: bool, last: bool = False
) -> dict:
    """One prediction from pixels on the device to boxes in source pixels."""
    bench.free()
    images = min(images, 2) if bench.micro else images
    config, side = detector_config(bench, OV_COCO)
    model, data = gpu_steps.detector(config, mode, False, images, bench.device, side, dtype, last)
    half = bench.half if dtype == 'float32' else dtype
    precision = torch.autocast(bench.device, getattr(torch, half), enabled=autocast)

    @torch.no_grad()
    def run() -> None:
        with precision:
            model.predict(**{f'batch_{key}': value for key, value in data.items()})

    found = bench.figures(run, images)
    return found if mode == 'plain' or bench.micro else bench.profiled(found, run)


def detector_training_rows(bench: Bench, config: str, title: str, images: int) -> Rows:
    """Training steps: the reference, then ours by dtype."""
    title = f'F-ViT training, B/16, {title}'
    yield title, 'reference', 20, partial(detector_training, bench, config, images, 'plain', '')
    for dtype, last in product(bench.dtypes[: 1 if bench.quick else None], (False, True)):
        run = partial(detector_training, bench, config, images, 'ours', dtype, last)
        if not (last and bench.micro):
            yield title, f'{dtype}{", channels last" * last}', 20, run


def detector_training(
    bench: Bench, config: str, images: int, mode: str, dtype: str, last: bool = False
) -> dict:
    """One training step on pixels that are on the device, in mixed precision."""
    bench.free()
    images = min(images, 2) if bench.micro else images
    config, side = detector_config(bench, config)
    model, data = gpu_steps.detector(
        config, mode, True, images, bench.device, side, 'float32', last
    )
    optimizer = Config.fromfile(ROOT / config).optim_wrapper
    if mode == 'ours' and bench.device == 'cuda':
        optimizer.optimizer.fused = True
    step = gpu_steps.detector_step(model, data, optimizer, dtype or bench.half, bench.device)
    found = bench.figures(step, images)
    return found if mode == 'plain' or bench.micro else bench.profiled(found, step)
