"""What the rows of a GPU report share: sizes, the bench, what this machine can do, scripts."""

from __future__ import annotations

import gc
import os
import platform
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch

from benchmarks.counting import SHAPES, ViTShape
from benchmarks.gpu_steps import ROOT, peak_of, profile_of, seconds_of
from benchmarks.machine import copy_rate, matrix_rate
from benchmarks.planner import GIB, mean_crops

CLIPSELF = 'configs/clipself/clipself_eva02-{}_patches_1xb2-44k_coco.py'
TINY_CLIP = 'pkg:clipself_mm.shapes/tiny_clip'
CROPS = round(mean_crops())
"""Crops of an image."""
CORES = 4
"""Processor cores of a training, and workers of its data loader."""
Rows = Iterator[tuple[str, str, float, Callable[[], dict]]]
"""Title of the section, name, seconds on an H100 at most, function that gives the figures."""


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


def first_line(error: BaseException) -> str:
    """What an error says in its first line; its type if it says nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]


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
        """Figures of a step with its largest kernels and the share of the time without any.

        A profiler that fails leaves the figures, with its error.
        """
        try:
            return found | profile_of(run, self.device, found['ms'], 1 if self.micro else 3)
        except (AssertionError, AttributeError, RuntimeError) as error:
            return found | {'error': f'no profile: {first_line(error)}'}

    def product_rate(self) -> float:
        """FLOP/s of the bf16 product, as measured in the first row."""
        found = self.rows.get('Machine', {}).get('rates', {}).get('bf16 TFLOP/s')
        return 1e12 * (found or machine(self)['bf16 TFLOP/s'])


def machine(bench: Bench) -> dict:
    """Date, card, driver, versions, the rates of a large bf16 product and of a large copy."""
    found = dict(
        date=time.strftime('%Y-%m-%d'),
        python=platform.python_version(),
        torch=torch.__version__,
    )
    if bench.device == 'cpu':
        size = 256 if bench.micro else 1024
        found |= {'bf16 TFLOP/s': matrix_rate(torch.bfloat16, size) / 1e12}
        return found | {'copy GB/s': copy_rate(4 if bench.micro else 256) / 1e9}
    total = torch.cuda.get_device_properties(0).total_memory
    found |= dict(
        card=torch.cuda.get_device_name(),
        driver=driver_version(),
        cuda=torch.version.cuda,
        cudnn=str(torch.backends.cudnn.version()),
    )
    left, right = torch.randn(2, 8192, 8192, device='cuda').bfloat16()
    product = seconds_of(lambda: left @ right, 'cuda', most=300)  # clocks rise first
    source = torch.empty(2**30, dtype=torch.uint8, device='cuda')
    target = torch.empty_like(source)
    copy = seconds_of(lambda: target.copy_(source), 'cuda', most=300)
    return found | {
        'memory GiB': total / GIB,
        'bf16 TFLOP/s': 2 * 8192**3 / product / 1e12,
        'copy GB/s': 2 * 2**30 / copy / 1e9,
    }


@contextmanager
def limited_cores(count: int) -> Iterator[None]:
    """Inside the block this thread, and what it starts, run on that many processor cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(before)[:count])
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def driver_version() -> str | None:
    """What nvidia-smi says; None without it."""
    query = ['nvidia-smi', '--query-gpu=driver_version', '--format=csv,noheader']
    try:
        return subprocess.run(query, capture_output=True, text=True, check=True).stdout.split()[0]
    except (OSError, subprocess.CalledProcessError, IndexError):
        return None


def called(command: list[str], limit: float) -> tuple[str, int | None]:
    """Output and exit code of a Python script in the root of the repository.

    Args:
        command: The interpreter, then its words.
        limit: Seconds after which it is ended; the exit code is None then.
    """
    path = f'{ROOT}{os.pathsep}{os.environ.get("PYTHONPATH", "")}'
    env = {**os.environ, 'PYTHONPATH': path, 'PYTHONUNBUFFERED': '1'}  # so an ended one has spoken
    with tempfile.TemporaryFile('w+', errors='replace') as output:
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
