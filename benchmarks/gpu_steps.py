"""Steps of real size on a card, each as a function without arguments, and how they are measured."""

from __future__ import annotations

import argparse
import copy
import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.optim import AmpOptimWrapper, OptimWrapper, build_optim_wrapper
from mmengine.registry import MODELS
from mmengine.structures import InstanceData
from torch.profiler import ProfilerActivity, profile

from benchmarks import fvit
from benchmarks.planner import GIB
from clipself_mm.datasets import RegionSample
from clipself_mm.distillers import CLIPSelf

ROOT = Path(__file__).resolve().parents[1]
LARGEST = 10
"""Kernels that a profile lists."""


def wait(device: str) -> None:
    """Wait until a device has done what it was given."""
    if device == 'cuda':
        torch.cuda.synchronize()


def seconds_of(run: Callable[[], object], device: str, limit: float = 3.0, most: int = 20) -> float:
    """Mean wall time of a function in a row of calls, after two to warm up.

    Args:
        run: What to measure.
        device: Where it runs.
        limit: Seconds after which no further call is made.
        most: Calls at most.

    Returns:
        Seconds.
    """
    run()
    wait(device)
    start = time.perf_counter()
    run()
    wait(device)
    once = time.perf_counter() - start
    calls = min(most, int(limit / once))
    if calls < 2:
        return once
    start = time.perf_counter()
    for _ in range(calls):
        run()
    wait(device)
    return (time.perf_counter() - start) / calls


def peak_of(run: Callable[[], object]) -> float:
    """GiB allocated at most on a card while a function runs."""
    torch.cuda.reset_peak_memory_stats()
    run()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() / GIB


def profile_of(run: Callable[[], object], device: str, milliseconds: float, calls: int) -> dict:
    """The largest kernels of a function, and how long the device waits.

    Args:
        run: What to measure, warmed up.
        device: Where it runs; on a processor its operations take the place of kernels.
        milliseconds: A call without the profiler, which slows the host.
        calls: Calls that are recorded.

    Returns:
        ``kernels``, the largest as (name, ms a call, share of the kernels' time), and on a card
        ``waiting``, the share of the time in which no kernel ran.
    """
    activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * (device == 'cuda')
    with profile(activities=activities) as recorded:
        for _ in range(calls):
            run()
        wait(device)
    # Rows of processor operations and of annotations count kernels once more.
    rows = [
        row
        for row in recorded.key_averages()
        if row.device_type.name.lower() == device and not getattr(row, 'is_user_annotation', False)
    ]
    spent = [(row.key[:100], _own_microseconds(row, device) / 1e3 / calls) for row in rows]
    spent.sort(key=lambda item: -item[1])
    total = sum(time for _, time in spent)
    found = dict(kernels=[(name, time, time / max(total, 1e-9)) for name, time in spent[:LARGEST]])
    return found | {'waiting': max(0.0, 1 - total / milliseconds)} if device == 'cuda' else found


def _own_microseconds(row: object, device: str) -> float:
    names = ('self_cpu_time_total',)
    if device == 'cuda':
        names = ('self_device_time_total', 'self_cuda_time_total')  # of newer and older torch
    return next(getattr(row, name) for name in names if hasattr(row, name))


def batch(side: int, crop_side: int, crops: int, images: int = 1, device: str = 'cpu') -> dict:
    """A collated batch of random pixels as the dataloader gives it.

    Args:
        side: Pixels a side of the student's images.
        crop_side: Pixels a side of the crops.
        crops: Crops of an image.
        images: How many.
        device: Where the tensors are.
    """
    generator = torch.Generator().manual_seed(0)

    def pixels(*shape: int) -> torch.Tensor:
        return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8).to(device)

    corners = torch.rand(crops, 2, generator=generator) * side / 2
    boxes_px = torch.cat([corners, corners + side / 4], dim=1).to(device)
    return dict(
        inputs=dict(
            image=[pixels(3, side, side) for _ in range(images)],
            crops=[pixels(crops, 3, crop_side, crop_side) for _ in range(images)],
        ),
        data_samples=[
            RegionSample(regions=InstanceData(boxes_px=boxes_px.clone())) for _ in range(images)
        ],
    )


def clipself(config: Config, device: str, tower: str | None = None) -> CLIPSelf:
    """The model of a distillation's config in training mode, with random weights.

    Args:
        config: Its `model` is not changed.
        device: Where it is.
        tower: Another model than the config's.
    """
    model = copy.deepcopy(config.model)
    model.tower.update(model=tower or model.tower.model, checkpoint=None)
    model.classifier = None
    torch.manual_seed(0)
    return MODELS.build(model).to(device).train()


def optimizer_of(model: torch.nn.Module, config: dict, dtype: str | None) -> OptimWrapper:
    """The wrapper of a config's optimizer, as `--amp` makes it on a card.

    Args:
        model: What trains.
        config: `optim_wrapper` of a config.
        dtype: Of autocast, with a scaler of the loss; None for none.
    """
    config = copy.deepcopy(dict(config))
    if dtype is not None and torch.cuda.is_available():
        config.update(type='AmpOptimWrapper', loss_scale='dynamic', dtype=dtype)
    return build_optim_wrapper(model, config)


def train_step(
    model: torch.nn.Module, wrapper: OptimWrapper, data: dict, dtype: str | None, device: str
) -> Callable[[], dict]:
    """A step of mmengine's as a function.

    Args:
        model: In training mode, wrapped for several processes or not.
        wrapper: Of `optimizer_of`.
        data: A collated batch on the device.
        dtype: Of autocast; None for none.
        device: Where it runs.
    """
    outer = not isinstance(wrapper, AmpOptimWrapper) and dtype is not None

    def step() -> dict:
        # mmengine has no mixed precision on a processor.
        with torch.autocast(device, getattr(torch, dtype)) if outer else nullcontext():
            return model.train_step(data, wrapper)

    return step


def detector(
    config: str,
    mode: str,
    training: bool,
    images: int,
    device: str,
    side: int | None,
    dtype: str,
    channels_last: bool,
) -> tuple[torch.nn.Module, dict]:
    """An F-ViT with random weights and a preprocessed batch, see `fvit.build`.

    Args:
        config: Its file.
        mode: ``ours`` or ``plain``.
        training: Whether it is to train.
        images: Of the batch.
        device: Where both are.
        side: Pixels a side, None for the config's.
        dtype: Of the frozen tower.
        channels_last: See `FViT`.
    """
    args = argparse.Namespace(
        config=str(ROOT / config),
        vocabulary=None,
        side=side,
        dtype=dtype,
        channels_last=channels_last,
    )
    return fvit.build(args, mode, training, images, device)


def detector_step(
    model: torch.nn.Module, data: dict, config: dict, dtype: str | None, device: str
) -> Callable[[], None]:
    """A training step of a detector on a preprocessed batch, with clipped gradients.

    Args:
        model: In training mode.
        data: `inputs` and `data_samples` from its preprocessor.
        config: `optim_wrapper` of its config.
        dtype: Of autocast; None for none.
        device: Where it runs.
    """
    wrapper = optimizer_of(model, config, dtype)
    enabled = dtype is not None
    precision = getattr(torch, dtype or 'bfloat16')

    def step() -> None:
        with wrapper.optim_context(model), torch.autocast(device, precision, enabled=enabled):
            loss, _ = model.parse_losses(model(**data, mode='loss'))
        wrapper.update_params(loss)

    return step


def seconds_of_rest(steps: Iterator[object], skip: int, device: str) -> float:
    """Mean wall time of the steps of an iterator after the first ones.

    Args:
        steps: Ends by itself.
        skip: Steps that are not counted: workers start and kernels are chosen in them.
        device: Where it runs.
    """
    for _ in itertools.islice(steps, skip):
        pass
    wait(device)
    start, count = time.perf_counter(), 0
    for _ in steps:
        count += 1
    wait(device)
    return (time.perf_counter() - start) / count
