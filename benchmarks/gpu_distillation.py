"""Rows of a GPU report: a distillation step, bare and wrapped for several processes."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import partial

import torch
from mmengine.config import Config
from mmengine.model import MMDistributedDataParallel

from benchmarks import gpu_steps
from benchmarks.counting import distillation_flops
from benchmarks.distill_step import Step
from benchmarks.gpu_bench import B16, CROPS, L14, TINY, Bench, Distillation, Rows
from benchmarks.gpu_steps import ROOT, wait
from benchmarks.planner import GIB, Job, memory_bytes


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
    if what is L14:  # its config recomputes activations, which the reference does not
        name = f'{bench.half}, all activations kept'
        yield (
            title,
            name,
            6 + 4 * cost,
            partial(our_step, bench, what, images, bench.half, False, True),
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


def our_step(
    bench: Bench, what: Distillation, images: int, dtype: str, compiled: bool, keep: bool = False
) -> dict:
    """A step as the config trains, on pixels that are on the device.

    Args:
        bench: Where.
        what: Config and sizes.
        images: Of the batch.
        dtype: Of autocast.
        compiled: Whether blocks are compiled.
        keep: Whether all activations are kept, whatever the config says.
    """
    model = towers_of(bench, what)
    wrapper = gpu_steps.optimizer_of(
        model, Config.fromfile(ROOT / what.config).optim_wrapper, dtype
    )
    data = gpu_steps.batch(what.side, what.crop_side, CROPS, images, bench.device)
    step = gpu_steps.train_step(model, wrapper, data, dtype, bench.device)
    model.student.compile_blocks = model.teacher.compile_blocks = compiled
    configured = model.student.activation_checkpointing
    checkpointing = model.student.activation_checkpointing = configured and not keep
    try:
        found = distillation_figures(bench, what, images, step, checkpointing)
        return bench.profiled(found, step)
    finally:
        model.student.compile_blocks = model.teacher.compile_blocks = False
        model.student.activation_checkpointing = configured


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
