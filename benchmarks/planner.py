"""How long CLIPSelf takes and what memory it needs on GPUs: computed from counts, not measured.

    python benchmarks/planner.py --model EVA02-L-14-336 --gpu A100 --batch 2

Time is the counted FLOPs over the vendor's peak rate times an assumed utilisation, plus what of the
communication does not fit behind the backward. Memory is the counted bytes plus an assumed reserve.
Processor cores are computed from the time the data pipeline takes here, measured in the same run.
"""

from __future__ import annotations

import argparse
import io
import math
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.counting import (
    SHAPES,
    ViTShape,
    distillation_bytes,
    distillation_flops,
    tower_parameters,
    trained_parameters,
)

GIB = 2**30


@dataclass(frozen=True)
class GPU:
    """What a vendor says of a GPU.

    Attributes:
        half: Peak FLOP/s of dense fp16 or bf16 matrix products with fp32 sums.
        full: Peak FLOP/s of fp32 without tensor cores.
        memory: Bytes.
        link: Bytes/s one GPU sends to others of its machine, one direction.
        source: Where the numbers stand.
    """

    half: float
    full: float
    memory: int
    link: float
    source: str


GPUS = {
    'V100': GPU(125e12, 15.7e12, 32 * GIB, 150e9, 'NVIDIA V100 datasheet, SXM2 32 GB'),
    'A100': GPU(312e12, 19.5e12, 80 * GIB, 300e9, 'NVIDIA A100 datasheet, SXM 80 GB'),
    'H100': GPU(
        989.5e12,
        67e12,
        80 * GIB,
        450e9,
        'NVIDIA H100 datasheet, SXM; half of the sparse rate',
    ),
    'H200': GPU(989.5e12, 67e12, 141 * 10**9, 450e9, 'NVIDIA H200 datasheet, SXM; as H100'),
}
GPUS_A_MACHINE = 8
NETWORK = 25e9
"""Assumed bytes/s a GPU sends to other machines: 200 Gbit/s, one adapter a GPU."""
UTILISATION = 0.4
"""Assumed share of the peak rate; ``tests/gpu`` measures the real one."""
RESERVE = 1.5 * GIB
"""Assumed bytes of CUDA's context, the libraries' workspaces and gaps of the allocator."""
RECIPES = {
    'EVA02-B-16': (1024, 224, None),
    'ViT-B-16': (1024, 224, None),
    'EVA02-L-14-336': (896, 336, None),
    'ViT-L-14-336': (672, 336, 12),
}
"""Student's pixels, crop's pixels and unlocked blocks of the configs."""
COCO_IMAGES = 118287


@dataclass(frozen=True)
class Job:
    """A distillation to plan.

    Attributes:
        shape: Of student and teacher.
        student_side: Pixels a side of the student's images.
        crop_side: Pixels a side of the teacher's crops.
        crops: Mean number of crops of an image.
        batch: Images of a GPU and step.
        unlocked: Blocks that train; None for all.
        checkpointing: Whether blocks are run once more in the backward.
        half: Whether matrix products are in fp16 or bf16 (``--amp``).
        images: Images of an epoch.
    """

    shape: ViTShape
    student_side: int
    crop_side: int
    crops: float
    batch: int = 2
    unlocked: int | None = None
    checkpointing: bool = False
    half: bool = True
    images: int = COCO_IMAGES


@dataclass(frozen=True)
class Plan:
    """What is computed of a job.

    Attributes:
        step_seconds: One step.
        exposed_seconds: Of it, communication that nothing hides.
        epoch_hours: One epoch.
        memory: Bytes of a GPU.
        images_per_second: Of one GPU.
    """

    step_seconds: float
    exposed_seconds: float
    epoch_hours: float
    memory: float
    images_per_second: float


def mean_crops(max_split: int = 6, max_regions: int = 20) -> float:
    """Mean number of regions `GridRegions` draws of an image (paper, section 3.2)."""
    grids = [
        rows * columns
        for rows in range(1, max_split + 1)
        for columns in range(1, max_split + 1)
        if rows <= 2 * columns and columns <= 2 * rows
    ]
    return sum(min(cells, max_regions) for cells in grids) / len(grids)


def bandwidth(gpu: GPU, gpus: int, network: float = NETWORK) -> float:
    """Bytes/s through the narrowest place of a ring over all GPUs."""
    return gpu.link if gpus <= GPUS_A_MACHINE else min(gpu.link, network)


def sent_bytes(job: Job, gpus: int) -> float:
    """Bytes each GPU sends in a step.

    DDP sums the gradients over a ring: two times all but one n-th of them.
    """
    gradients = 4 * trained_parameters(job.shape, job.unlocked)
    return 2 * (gpus - 1) / gpus * gradients


def memory_bytes(job: Job) -> float:
    """Bytes a GPU holds at its peak.

    Weights, gradients and moments are fp32. In mixed precision there is a half copy of the weights
    of one tower, kept from forward to backward.
    """
    shape, itemsize = job.shape, 2 if job.half else 4
    held = distillation_bytes(
        shape,
        job.student_side,
        job.batch,
        job.unlocked,
        checkpointing=job.checkpointing,
        half=job.half,
    )
    state = held.weights + held.gradients + held.optimizer
    half_copy = 2 * tower_parameters(shape) if job.half else 0
    pixels = 4 * 3 * job.batch * (job.student_side**2 + job.crops * job.crop_side**2)
    teacher = (
        job.batch
        * job.crops
        * shape.tokens(job.crop_side)
        * (6 * shape.width + 3 * shape.hidden)
        * itemsize
    )
    # The teacher runs first, when no activations of the student are kept yet.
    at_work = max(held.activations, teacher)
    return state + half_copy + pixels + at_work + RESERVE


def plan(
    job: Job, gpu: GPU, gpus: int, utilisation: float = UTILISATION, network: float = NETWORK
) -> Plan:
    """Compute time and memory of a job.

    Args:
        job: What is trained.
        gpu: What on.
        gpus: How many.
        utilisation: Share of the peak rate that is reached.
        network: Bytes/s a GPU sends to other machines.
    """
    flops = distillation_flops(
        job.shape,
        job.student_side,
        job.crop_side,
        1,
        unlocked=job.unlocked,
        checkpointing=job.checkpointing,
    )
    rate = (gpu.half if job.half else gpu.full) * utilisation
    backward = job.batch * flops.student_backward / rate
    forward = job.batch * (flops.student_forward + job.crops * flops.teacher) / rate
    sending = sent_bytes(job, gpus) / bandwidth(gpu, gpus, network)
    exposed = max(0.0, sending - backward)  # DDP sends while the backward runs
    step = forward + backward + exposed
    steps = math.ceil(job.images / (gpus * job.batch))
    return Plan(step, exposed, steps * step / 3600, memory_bytes(job), job.batch / step)


def loader_seconds(student_side: int, crop_side: int, repeats: int = 5) -> float:
    """Processor seconds the data pipeline takes for an image of COCO's usual size, here.

    Args:
        student_side: See `Job`.
        crop_side: See `Job`.
        repeats: How many images; the median counts.
    """
    from mmengine.dataset import Compose

    import clipself_mm  # noqa: F401 - registers the types

    pipeline = Compose(
        [
            dict(type='LoadRGB'),
            dict(type='SampleRegions', regions=dict(type='GridRegions')),
            dict(type='CropRegions', size=crop_side),
            dict(type='ResizeLongest', size=student_side),
            dict(type='PackRegions'),
        ]
    )
    coarse = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(coarse).resize((640, 480), Image.Resampling.BICUBIC).save(buffer, 'JPEG')
    seconds = []
    for number in range(repeats + 1):
        start = time.process_time()
        pipeline(dict(img_path='photo.jpg', img_bytes=buffer.getvalue(), rng_key=(0, 0, number)))
        seconds.append(time.process_time() - start)
    return float(np.median(seconds[1:]))


def job_of(args: argparse.Namespace) -> Job:
    """The job the command line asks for, with what the recipe says where it says nothing."""
    student, crop, unlocked = RECIPES[args.model]
    return Job(
        SHAPES[args.model],
        args.size or student,
        crop,
        mean_crops(),
        args.batch,
        unlocked,
        args.checkpointing,
        not args.fp32,
        args.images,
    )


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--model', choices=SHAPES, default='EVA02-B-16')
    parser.add_argument('--gpu', choices=GPUS, nargs='+', default=list(GPUS))
    parser.add_argument('--gpus', type=int, nargs='+', default=[1, 8, 64], help='how many')
    parser.add_argument('--batch', type=int, default=2, help='images of a GPU and step')
    parser.add_argument('--size', type=int, help="pixels of the student; the recipe's by default")
    parser.add_argument('--images', type=int, default=COCO_IMAGES, help='images of an epoch')
    parser.add_argument('--checkpointing', action='store_true', help='activation checkpointing')
    parser.add_argument('--fp32', action='store_true', help='without --amp')
    parser.add_argument('--utilisation', type=float, default=UTILISATION)
    parser.add_argument('--network', type=float, default=NETWORK, help='bytes/s of a GPU')
    parser.add_argument('--cpu-seconds', type=float, help='of an image; measured here by default')
    return parser.parse_args()


def main() -> None:
    """Prints the table."""
    args = parse_args()
    job = job_of(args)
    cpu = args.cpu_seconds or loader_seconds(job.student_side, job.crop_side)
    print(
        f'{args.model}, student {job.student_side} px, {job.crops:.1f} crops of {job.crop_side} px'
    )
    print(f'batch {job.batch} a GPU, {job.images} images an epoch, ', end='')
    print(f'checkpointing {job.checkpointing}, half precision {job.half}')
    print(
        f'computed, not measured: utilisation {args.utilisation} and network are assumed; ', end=''
    )
    print(f'{cpu:.3f} s of a processor an image')
    print('| GPU | GPUs | s/step | h/epoch | of it waiting | GiB | fits | cores a GPU |')
    print('|---|---|---|---|---|---|---|---|')
    for name in args.gpu:
        for gpus in args.gpus:
            found = plan(job, GPUS[name], gpus, args.utilisation, args.network)
            waiting = found.exposed_seconds / found.step_seconds
            fits = 'yes' if found.memory < GPUS[name].memory else 'no'
            cores = math.ceil(found.images_per_second * cpu)
            print(
                f'| {name} | {gpus} | {found.step_seconds:.3f} | {found.epoch_hours:.2f} | '
                f'{waiting:.0%} | {found.memory / GIB:.1f} | {fits} | {cores} |'
            )
    for name in args.gpu:
        print(f'{name}: {GPUS[name].source}')


if __name__ == '__main__':
    main()
