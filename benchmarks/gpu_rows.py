"""The rows of a GPU report in the order of their worth, and what each measures."""

from __future__ import annotations

import gc
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from pathlib import Path
from typing import NamedTuple

import torch
from mmengine.config import Config
from mmengine.model import MMDistributedDataParallel
from mmengine.registry import MODELS
from mmengine.runner import Runner
from torch.utils.data import DataLoader, Dataset
from torchvision.io import decode_jpeg

from benchmarks import gpu_steps
from benchmarks.counting import SHAPES, ViTShape, distillation_flops
from benchmarks.distill_step import Step
from benchmarks.gpu_steps import ROOT, peak_of, profile_of, seconds_of, wait
from benchmarks.machine import copy_rate, matrix_rate
from benchmarks.planner import GIB, Job, mean_crops, memory_bytes
from benchmarks.reference_loader import ReferenceLoader
from benchmarks.region_photos import write_photo
from clipself_mm.datasets.regions import grid_boxes
from clipself_mm.datasets.transforms.resize_backends import window_rows
from clipself_mm.datasets.transforms.sample_regions import SampleRegions
from clipself_mm.models import resize_windows

CLIPSELF = 'configs/clipself/clipself_eva02-{}_patches_1xb2-44k_coco.py'
FOLDER = ROOT / 'configs/clipself/clipself_eva02-b16_patches-folder_8xb2-6e_images.py'
OV_COCO = 'configs/fvit/fvit_eva02-b16_8xb8-3e_ov-coco.py'
OV_LVIS = 'configs/fvit/fvit_eva02-b16_8xb8-48e_ov-lvis.py'
TINY_CLIP = 'pkg:clipself_mm.shapes/tiny_clip'
CROPS = round(mean_crops())
"""Crops of an image."""
CORES = 4
"""Workers of a data loader."""
PHOTOS = 32
PHOTO = (640, 480)
"""Width and height of COCO's usual photo."""


class Distillation(NamedTuple):
    """A distillation that is measured: title, config, tower, its sizes, sides in pixels."""

    title: str
    config: str
    tower: str
    shape: ViTShape
    side: int
    crop_side: int


B16 = Distillation(
    'B/16, 1024 px', CLIPSELF.format('b16'), 'EVA02-B-16', SHAPES['EVA02-B-16'], 1024, 224
)
L14 = Distillation(
    'L/14, 896 px',
    CLIPSELF.format('l14-336'),
    'EVA02-L-14-336',
    SHAPES['EVA02-L-14-336'],
    896,
    336,
)
TINY = Distillation(
    'B/16, micro',
    CLIPSELF.format('b16'),
    TINY_CLIP,
    ViTShape(128, 5, 512, 4, 128, 8, native_tokens=65),
    128,
    64,
)


class Bench:
    """Device, sizes and what rows share.

    Args:
        device: ``cuda`` or ``cpu``.
        micro: Whether sizes are tiny.
        quick: Whether only the rows that matter most are measured.
        rows: Those of the report so far.
    """

    def __init__(self, device: str, micro: bool, quick: bool, rows: dict) -> None:
        self.device, self.micro, self.quick, self.rows = device, micro, quick, rows
        self.half = 'float16' if device == 'cuda' else 'bfloat16'
        self.dtypes = ('float16', 'bfloat16') if device == 'cuda' else ('bfloat16',)
        self.workers = 0 if micro else CORES
        self._shared: tuple[object, object] = (None, None)

    def shared(self, key: object, build: Callable[[], object]) -> object:
        """What rows one after another share; the one before is freed first."""
        if self._shared[0] != key:
            self.free()
            self._shared = (key, build())
        return self._shared[1]

    def free(self) -> None:
        """Free what is shared."""
        self._shared = (None, None)
        gc.collect()
        if self.device == 'cuda':
            torch.cuda.empty_cache()

    def figures(self, run: Callable[[], object], images: int, calls: int = 20) -> dict:
        """Time of a step in ms, images a second, and peak memory in GiB."""
        seconds = seconds_of(run, self.device, most=1 if self.micro else calls)
        found = {'ms': 1e3 * seconds, 'images/s': images / seconds}
        return found | {'peak GiB': peak_of(run)} if self.device == 'cuda' else found

    def profiled(self, found: dict, run: Callable[[], object]) -> dict:
        """Figures of a step with its largest kernels and the share of the time without any."""
        return found | profile_of(run, self.device, found['ms'], 1 if self.micro else 3)

    def product_rate(self) -> float:
        """FLOP/s of the bf16 product, as measured in the first row."""
        found = self.rows.get('Machine', {}).get('rates', {}).get('bf16 TFLOP/s')
        return 1e12 * (found or machine(self)['bf16 TFLOP/s'])


Rows = Iterator[tuple[str, str, float, Callable[[], dict]]]
"""Title of the section, name, seconds on an H100 at most, function that gives the figures."""


def rows_of(bench: Bench) -> Rows:
    """All rows that are to be measured."""
    small, large = (TINY, None) if bench.micro else (B16, L14)
    full = not bench.quick
    yield 'Machine', 'rates', 5, partial(machine, bench)
    yield 'Self-check', 'pytest -m gpu', 30 if bench.quick else 90, partial(self_check, bench)
    yield from distillation_rows(bench, small, 2)
    yield from training_rows(bench)
    yield from prediction_rows(bench, 8)
    yield from detector_training_rows(bench, OV_COCO, '640 px, batch 8', 8)
    if full and large:
        yield from distillation_rows(bench, small, 8)
        yield from distillation_rows(bench, large, 2)
    yield from loader_rows(bench)
    if full:
        yield from detector_training_rows(bench, OV_LVIS, '1024 px with masks, batch 2', 2)
        yield from wrapped_rows(bench)
    if full and large:
        yield from prediction_rows(bench, 1)
        yield from distillation_rows(bench, large, 8)


def machine(bench: Bench) -> dict:
    """Card, driver, versions, and the rates of a large bf16 product and of a large copy."""
    found = dict(python=platform.python_version(), torch=torch.__version__)
    if bench.device == 'cpu':
        size = 256 if bench.micro else 1024
        found |= {'bf16 TFLOP/s': matrix_rate(torch.bfloat16, size) / 1e12}
        return found | {'copy GB/s': copy_rate(4 if bench.micro else 256) / 1e9}
    total = torch.cuda.get_device_properties(0).total_memory
    found |= dict(
        card=torch.cuda.get_device_name(),
        driver=driver_version(),
        cuda=torch.version.cuda,
    )
    left, right = torch.randn(2, 8192, 8192, device='cuda').bfloat16()
    product = seconds_of(lambda: left @ right, 'cuda')
    source = torch.empty(2**30, dtype=torch.uint8, device='cuda')
    target = torch.empty_like(source)
    copy = seconds_of(lambda: target.copy_(source), 'cuda')
    return found | {
        'memory GiB': total / GIB,
        'bf16 TFLOP/s': 2 * 8192**3 / product / 1e12,
        'copy GB/s': 2 * 2**30 / copy / 1e9,
    }


def driver_version() -> str | None:
    """What nvidia-smi says; None without it."""
    query = ['nvidia-smi', '--query-gpu=driver_version', '--format=csv,noheader']
    try:
        return subprocess.run(query, capture_output=True, text=True, check=True).stdout.split()[0]
    except (OSError, subprocess.CalledProcessError, IndexError):
        return None


def self_check(bench: Bench) -> dict:
    """What pytest says of the tests that need a card."""
    bench.free()
    tests = 'tests/gpu/test_towers_on_cuda.py' if bench.quick or bench.micro else 'tests/gpu'
    text, _ = called([sys.executable, '-m', 'pytest', '-m', 'gpu', '-q', '-s', tests], 120)
    for line in text.splitlines():
        print('   ', line)
    ends = re.findall(r'^(?:=+ )?((?:\d+ \w+(?:, )?)+) in [\d.]+', text, re.MULTILINE)
    counts = re.findall(r'(\d+) (\w+)', ends[-1]) if ends else ()
    result = {word: int(count) for count, word in counts}
    failed = re.findall(r'^(?:FAILED|ERROR) (.+)$', text, re.MULTILINE)
    if failed or not ends:
        result['error'] = '; '.join(failed)[:2000] or (text.splitlines() or [''])[-1]
    return result


def called(command: list[str], limit: float) -> tuple[str, int | None]:
    """Output and exit code of a Python script in the root of the repository.

    Args:
        command: The interpreter, then its words.
        limit: Seconds after which it is ended; the exit code is None then.
    """
    env = {**os.environ, 'PYTHONPATH': f'{ROOT}{os.pathsep}{os.environ.get("PYTHONPATH", "")}'}
    with tempfile.TemporaryFile('w+') as output:
        process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=output, stderr=output)
        try:
            code = process.wait(limit)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            process.kill()
            process.wait()
        output.seek(0)
        text = output.read()
    return text + f'it took more than {limit:.0f} s\n' * (code is None), code


# Distillation.


def distillation_rows(bench: Bench, what: Distillation, images: int) -> Rows:
    """The reference, then ours by dtype, without and with compiled blocks."""
    title = f'Distillation, {what.title}, batch {images}'
    cost = (3 if images > 2 else 1) * (3 if what is L14 else 1)
    yield title, 'reference', 12 + 4 * cost, partial(reference_step, bench, what, images)
    for compiled in (False, True):
        for dtype in bench.dtypes[: 1 if bench.quick and compiled else None]:
            name = dtype + ', compiled' * compiled
            if compiled and bench.micro:
                continue  # compiling takes longer than a test may
            yield (
                title,
                name,
                6 + 4 * cost + 30 * compiled,
                partial(our_step, bench, what, images, dtype, compiled),
            )


def towers_of(bench: Bench, what: Distillation) -> torch.nn.Module:
    """The model of a distillation with random weights."""
    config = Config.fromfile(ROOT / what.config)
    config.model.data_preprocessor.image_size = what.side
    return bench.shared(what, lambda: gpu_steps.clipself(config, bench.device, what.tower))


def reference_step(bench: Bench, what: Distillation, images: int) -> dict:
    """A step in reference mode, on the weights of ours."""
    model = towers_of(bench, what)
    towers, half = (model.student, model.teacher), getattr(torch, bench.half)
    step = Step(what.tower, 'reference', what.side, CROPS, towers, images, bench.device, half)
    return distillation_figures(bench, what, images, step.run, checkpointing=False)


def our_step(bench: Bench, what: Distillation, images: int, dtype: str, compiled: bool) -> dict:
    """A step as the config trains, on pixels that are on the device."""
    model = towers_of(bench, what)
    wrapper = gpu_steps.optimizer_of(
        model, Config.fromfile(ROOT / what.config).optim_wrapper, dtype
    )
    data = gpu_steps.batch(what.side, what.crop_side, CROPS, images, bench.device)
    step = gpu_steps.train_step(model, wrapper, data, dtype, bench.device)
    model.student.compile_blocks = model.teacher.compile_blocks = compiled
    try:
        checkpointing = model.student.activation_checkpointing
        found = distillation_figures(bench, what, images, step, checkpointing)
        return bench.profiled(found, step)
    finally:
        model.student.compile_blocks = model.teacher.compile_blocks = False


def distillation_figures(
    bench: Bench,
    what: Distillation,
    images: int,
    step: Callable[[], object],
    checkpointing: bool,
) -> dict:
    """Time, share of the measured product rate, memory beside what the planner promises.

    FLOPs are those of our step: what the reference computes beyond them is its loss.
    """
    found = bench.figures(step, images)
    flops = distillation_flops(
        what.shape, what.side, what.crop_side, CROPS * images, images, checkpointing=checkpointing
    )
    found['share'] = flops.total / (found['ms'] / 1e3) / bench.product_rate()
    job = Job(what.shape, what.side, what.crop_side, CROPS, images, None, checkpointing)
    return found | {'planned GiB': memory_bytes(job) / GIB}


# Training with tools/train.py, and its loaders.


def photos(folder: Path, count: int, size: tuple[int, int]) -> Path:
    """Write photos of COCO's size; more names than pictures are links to them."""
    folder.mkdir()
    for number in range(count):
        path = folder / f'{number}.jpg'
        if number < PHOTOS:
            write_photo(path, *size, number)
        else:
            os.link(folder / f'{number % PHOTOS}.jpg', path)
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


def training_rows(bench: Bench) -> Rows:
    """The reference with its loader, then tools/train.py."""
    title = f'Training, {(TINY if bench.micro else B16).title}, {CORES} processor cores'
    yield title, 'reference', 25, partial(reference_training, bench)
    for backend in ('device',) if bench.quick or bench.micro else ('device', 'torch'):
        yield title, backend, 45, partial(real_training, bench, backend)


def real_training(bench: Bench, backend: str) -> dict:
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
            'train_cfg.max_epochs': 1,
            'default_hooks.logger.interval': steps // 4,
            'log_processor.window_size': steps // 4,
        }
        command = [sys.executable, str(ROOT / 'tools/train.py'), str(FOLDER)]
        command += ['--work-dir', str(work_dir), *(['--amp'] if bench.device == 'cuda' else [])]
        command += ['--cfg-options', *(f'{key}={value}' for key, value in options.items())]
        text, code = called(command, 90)
        if code:
            raise RuntimeError((text.strip().splitlines() or [''])[-1])
        lines = next(work_dir.glob('*/vis_data/scalars.json')).read_text().splitlines()
    logged = [entry for line in lines if 'time' in (entry := json.loads(line))]
    later = logged[1:]
    seconds, waiting = (sum(e[key] for e in later) / len(later) for key in ('time', 'data_time'))
    found = {'ms': 1e3 * seconds, 'images/s': 2 / seconds, 'ms of it for data': 1e3 * waiting}
    bare = bench.rows.get(next(distillation_rows(bench, TINY if bench.micro else B16, 2))[0], {})
    if 'ms' in bare.get(bench.half, {}):
        found['over the bare step'] = found['ms'] / bare[bench.half]['ms'] - 1
    return found


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

        seconds = gpu_steps.seconds_of_rest(trained(), skipped, bench.device)
    return {'ms': 1e3 * seconds, 'images/s': 2 / seconds}


def loader_rows(bench: Bench) -> Rows:
    """Images a second of the loaders, to be held against those of the bare step."""
    title = f'Loaders, {CORES} workers, batches of 2'
    for name in ('reference', 'pillow', 'torch', 'device'):
        yield title, name, 12, partial(loader_rate, bench, name)
    yield title, 'device, which decodes too', 12, partial(decoding_rate, bench)


def loader_rate(bench: Bench, name: str) -> dict:
    """Images a second of one loader, wall time, and what of a batch is left to the device."""
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
        seconds = gpu_steps.seconds_of_rest(iter(loader), skip, 'cpu')
        found = {'images/s': 2 / seconds}
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

    return {'images/s': len(files) / seconds_of(run, bench.device, most=10)}


# F-ViT.


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
    for dtype, last in product(bench.dtypes, (False, True)):
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


# Wrappers for several processes, here around one.


def wrapped_rows(bench: Bench) -> Rows:
    """DDP and FSDP of one process."""
    for name in ('DDP', 'FSDP'):
        yield 'One process, wrapped, batch 2', name, 15, partial(wrapped_step, bench, name)


def wrapped_step(bench: Bench, name: str) -> dict:
    """A step of a model that is wrapped for several processes."""
    what = TINY if bench.micro else B16
    bench.free()
    model = towers_of(bench, what)
    bench.free()  # a wrapped model is not shared
    device_ids = [0] if bench.device == 'cuda' else None
    with tempfile.TemporaryDirectory() as temporary:
        torch.distributed.init_process_group(
            'nccl' if bench.device == 'cuda' else 'gloo',
            init_method=f'file://{temporary}/store',
            rank=0,
            world_size=1,
        )
        try:
            if name == 'DDP':
                model = MMDistributedDataParallel(
                    model, device_ids=device_ids, broadcast_buffers=False
                )
            else:
                from mmengine.model import MMFullyShardedDataParallel

                model = MMFullyShardedDataParallel(
                    model, use_orig_params=True, device_id=device_ids and 0
                )
            config = Config.fromfile(ROOT / what.config).optim_wrapper
            wrapper = gpu_steps.optimizer_of(model, config, bench.half)
            data = gpu_steps.batch(what.side, what.crop_side, CROPS, 2, bench.device)
            step = gpu_steps.train_step(model, wrapper, data, bench.half, bench.device)
            found = bench.figures(step, 2)
            wait(bench.device)
        finally:
            torch.distributed.destroy_process_group()
    return found
