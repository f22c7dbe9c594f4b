"""Rows of a GPU report: a whole training by tools/train.py, and its loaders."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.registry import MODELS
from mmengine.runner import Runner
from torch.utils.data import DataLoader, Dataset
from torchvision.io import decode_jpeg

from benchmarks import gpu_bench, gpu_steps
from benchmarks.distill_step import Step
from benchmarks.gpu_bench import B16, CORES, CROPS, TINY, Bench, Rows, limited_cores
from benchmarks.gpu_distillation import distillation_rows, towers_of
from benchmarks.gpu_steps import ROOT, seconds_of
from benchmarks.reference_loader import ReferenceLoader
from benchmarks.region_photos import write_photo
from clipself_mm.datasets.regions import grid_boxes
from clipself_mm.datasets.transforms.resize_backends import window_rows
from clipself_mm.datasets.transforms.sample_regions import SampleRegions
from clipself_mm.models import resize_windows

FOLDER = ROOT / 'configs/clipself/clipself_eva02-b16_patches-folder_8xb2-6e_images.py'
PHOTOS = 32
PHOTO = (640, 480)
"""Width and height of COCO's usual photo."""


def training_rows(bench: Bench) -> Rows:
    """The reference with its loader, then tools/train.py."""
    title = f'Training, {(TINY if bench.micro else B16).title}, {CORES} processor cores'
    yield title, 'reference', 25, partial(reference_training, bench)
    ways = [('device', 8), ('torch', 8), ('device', 1)]
    for backend, multiple in ways[: 1 if bench.quick or bench.micro else None]:
        name = f'{backend}, crops in multiples of {multiple}'
        yield title, name, 45, partial(real_training, bench, backend, multiple)


def bare_step(bench: Bench) -> dict:
    """Figures of the step without a loader, if they were measured."""
    title, *_ = next(distillation_rows(bench, TINY if bench.micro else B16, 2))
    return bench.rows.get(title, {}).get(bench.half, {})


def real_training(bench: Bench, backend: str, multiple: int) -> dict:
    """Wall time of a step of tools/train.py on photos of COCO's size, with `--amp` on a card."""
    bench.free()
    steps = 4 if bench.micro else 50 if bench.quick else 100
    with tempfile.TemporaryDirectory() as temporary:
        work_dir = Path(temporary, 'work')
        size = (64, 48) if bench.micro else PHOTO
        options = training_options(
            bench, photos(Path(temporary, 'photos'), 2 * steps, size), backend
        )
        options |= {
            'model.teacher_multiple': multiple,
            'train_cfg.max_epochs': 1,
            'default_hooks.logger.interval': steps // 4,
            'log_processor.window_size': steps // 4,
        }
        command = [sys.executable, str(ROOT / 'tools/train.py'), str(FOLDER)]
        command += ['--work-dir', str(work_dir), *(['--amp'] if bench.device == 'cuda' else [])]
        command += ['--cfg-options', *(f'{key}={value}' for key, value in options.items())]
        with limited_cores(CORES):
            text, code = gpu_bench.called(command, 90)
        logs = [path.read_text() for path in work_dir.glob('*/vis_data/scalars.json')]
    lines = (json.loads(line) for log in logs for line in log.splitlines())
    later = [entry for entry in lines if 'time' in entry][1:]
    if code or not later:
        raise RuntimeError((text.strip().splitlines() or [''])[-1])
    seconds, waiting = (sum(e[key] for e in later) / len(later) for key in ('time', 'data_time'))
    found = {'ms': 1e3 * seconds, 'images/s': 2 / seconds, 'ms of it for data': 1e3 * waiting}
    if 'ms' in (bare := bare_step(bench)):
        found['over the bare step'] = found['ms'] / bare['ms'] - 1
    return found


def photos(folder: Path, count: int, size: tuple[int, int]) -> Path:
    """A folder of photos of COCO's size; more names than pictures are links to them."""
    folder.mkdir()
    for number in range(count):
        os.link(Path(pictures(size).name, f'{number % PHOTOS}.jpg'), folder / f'{number}.jpg')
    return folder


@cache
def pictures(size: tuple[int, int]) -> tempfile.TemporaryDirectory:
    """The pictures behind the names, written once."""
    folder = tempfile.TemporaryDirectory()
    for number in range(PHOTOS):
        write_photo(Path(folder.name, f'{number}.jpg'), *size, number)
    return folder


def training_options(bench: Bench, folder: Path, backend: str) -> dict[str, object]:
    """Overrides of the config of a plain folder, as `--cfg-options`."""
    steps = 'train_dataloader.dataset.pipeline'
    options = {
        'train_dataloader.dataset.source': str(folder),
        'train_dataloader.num_workers': bench.workers,
        'model.tower.checkpoint': None,
        f'{steps}.2.backend': backend,
        f'{steps}.3.backend': backend,
    }
    if bench.micro:
        options |= {
            'model.tower.model': TINY.tower,
            'model.data_preprocessor.image_size': TINY.side,
            f'{steps}.2.size': TINY.crop_side,
            f'{steps}.3.size': TINY.side,
        }
    return options


class ReferenceData(Dataset):
    """Photos as the reference's loader gives them, with what of the 20 crops is valid.

    Args:
        folder: The photos.
        side: Of the student's image in pixels.
        crop_side: Of a crop in pixels.
    """

    def __init__(self, folder: Path, side: int, crop_side: int) -> None:
        self.paths = sorted(folder.iterdir())
        regions = SampleRegions(dict(type='GridRegions', max_split=6, max_regions=20))
        self.loader = ReferenceLoader(regions, side, crop_side, 20)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        results = dict(img_path=str(self.paths[index]), rng_key=(0, 0, index))
        for _, step in self.loader.steps:
            results = step(results)
        valid = torch.arange(20) < len(results['crop_boxes_src'])
        return results['image'], results['crops'], valid


def reference_data(bench: Bench, folder: Path) -> DataLoader:
    """The reference's loader over photos, batches of 2."""
    what = TINY if bench.micro else B16
    return DataLoader(
        ReferenceData(folder, what.side, what.crop_side),
        batch_size=2,
        num_workers=bench.workers,
        pin_memory=bench.device == 'cuda',
    )


def reference_training(bench: Bench) -> dict:
    """Wall time of a step of the reference mode with its loader."""
    what = TINY if bench.micro else B16
    model = towers_of(bench, what)
    towers, half = (model.student, model.teacher), getattr(torch, bench.half)
    step = Step(what.tower, 'reference', what.side, CROPS, towers, 2, bench.device, half)
    count, skipped = (3, 1) if bench.micro else (40, 10)
    with tempfile.TemporaryDirectory() as temporary:
        size = (64, 48) if bench.micro else PHOTO
        loader = reference_data(bench, photos(Path(temporary, 'photos'), 2 * count, size))

        def trained() -> Iterator[None]:
            boxes_px = step.boxes_px[0].repeat(2, 1)
            for image, crops, valid in loader:
                parts = (image, crops.flatten(0, 1), valid.flatten())
                step.image, step.crops, step.valid = (
                    part.to(bench.device, non_blocking=True) for part in parts
                )
                step.boxes_px = [boxes_px[:number] for number in valid.sum(dim=1).tolist()]
                step.run()
                yield

        with limited_cores(CORES):
            seconds = gpu_steps.seconds_of_rest(trained(), skipped, bench.device)
    return {'ms': 1e3 * seconds, 'images/s': 2 / seconds}


def loader_rows(bench: Bench) -> Rows:
    """Images a second of the loaders beside what the bare step eats."""
    title = f'Loaders, {CORES} workers on as many cores, batches of 2'
    for name in ('reference', 'pillow', 'torch', 'device'):
        yield title, name, 12, partial(loader_rate, bench, name)
    yield title, 'device, which decodes too', 12, partial(decoding_rate, bench)


def beside_the_step(bench: Bench, rate: float) -> dict:
    """Images a second, and how many times as many as the bare step eats."""
    bare = bare_step(bench)
    eaten = {'x the bare step': rate / bare['images/s']} if 'images/s' in bare else {}
    return {'images/s': rate} | eaten


def loader_rate(bench: Bench, name: str) -> dict:
    """Images a second of one loader, and what of a batch is left to the device."""
    batches, skip = (2, 1) if bench.micro else (60, 10)
    with tempfile.TemporaryDirectory() as temporary:
        size = (64, 48) if bench.micro else PHOTO
        folder = photos(Path(temporary, 'photos'), 2 * (batches + skip), size)
        if name == 'reference':
            loader = reference_data(bench, folder)
        else:
            config = Config.fromfile(FOLDER)
            config.merge_from_dict(training_options(bench, folder, name))
            if not bench.workers:
                config.train_dataloader.pop('persistent_workers')
            if bench.device == 'cpu':
                config.train_dataloader.pop('pin_memory')
            loader = Runner.build_dataloader(config.train_dataloader, seed=0)
        with limited_cores(CORES):
            seconds = gpu_steps.seconds_of_rest(iter(loader), skip, 'cpu')
        found = beside_the_step(bench, 2 / seconds)
        if name != 'reference':
            preprocessor = MODELS.build(config.model.data_preprocessor).to(bench.device)
            data = next(iter(loader))
            left = seconds_of(lambda: preprocessor(data, True), bench.device, most=10)
            found['ms of a batch on the device'] = 1e3 * left
    return found


def decoding_rate(bench: Bench) -> dict:
    """Images a second of one process where the device decodes, cuts and resizes."""
    what = TINY if bench.micro else B16
    size = (64, 48) if bench.micro else PHOTO
    with tempfile.TemporaryDirectory() as temporary:
        paths = photos(Path(temporary, 'photos'), 8, size).iterdir()
        files = [
            torch.frombuffer(bytearray(path.read_bytes()), dtype=torch.uint8) for path in paths
        ]
    corners = [tuple(map(round, box)) for box in grid_boxes(size[1], size[0], 3, 4)]
    crops = torch.from_numpy(window_rows(corners, what.crop_side)).to(bench.device)
    whole = window_rows([(0, 0, *size)], what.side)
    height, width = whole[0, 4:].tolist()
    whole = torch.from_numpy(whole).to(bench.device)

    def run() -> None:
        for image in decode_jpeg(files, device=bench.device):
            resize_windows(image, crops, what.crop_side, what.crop_side, centred=True)
            resize_windows(image, whole, height, width)

    return beside_the_step(bench, len(files) / seconds_of(run, bench.device, most=10))
