"""One distillation step of a real-size CLIP: time, share of the machine's rates, peak memory.

    python benchmarks/distill_step.py                              # 512 px, ours and reference
    python benchmarks/distill_step.py --size 1024 --json step.json
    python benchmarks/distill_step.py --model EVA02-L-14-336 --size 896 --only count

Weights and pixels are random (no file is needed), the batch is one image with its crops, all
blocks train. First the step is counted; then the machine's own rates are measured, then the modes'
times in turn (A B A B ...) in one process, then each mode's peak memory in a process of its own.
With one thread times are processor time. Modes:

- `ours`: as the configs train;
- `checkpointing`: ours with `activation_checkpointing=True`;
- `reference`: the same numbers in the way of the reference release (`reference_mode.py`).

A mode that would not fit 85% of the free memory is counted, not run: the rest is for what the count
leaves out and other programs ask for. Run large sizes on a machine of their own.
"""

from __future__ import annotations

import argparse
import copy
import json
import multiprocessing
import statistics
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from mmengine.registry import OPTIMIZERS

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.counting import (
    SHAPES,
    StepFlops,
    adamw_bytes,
    distillation_bytes,
    distillation_flops,
    trained_parameters,
)
from benchmarks.machine import available_bytes, ceilings, clock, peak_bytes
from benchmarks.reference_mode import CROPS_OF_AN_IMAGE, as_reference, text_tower_of
from clipself_mm.clip import ViTTower, build_tower, roi_pool
from clipself_mm.losses import CosineDistillLoss
from clipself_mm.optim.no_bias_decay_constructor import build_fused, split_by_dimension

MODES = ('ours', 'checkpointing', 'reference')
STAGES = ('teacher', 'forward', 'backward', 'optimizer')
INTERPRETER = 1e9
"""Bytes that Python, torch and the mm packages take."""


def count(mode: str, model: str, size: int, crops: int) -> tuple[StepFlops, int]:
    """FLOPs of a mode's step and about the bytes that it holds at most, the interpreter aside.

    Args:
        mode: One of ``MODES``.
        model: One of ``SHAPES``.
        size: Pixels a side of the student's image.
        crops: Crops of the teacher.
    """
    shape, reference = SHAPES[model], mode == 'reference'
    checkpointing = mode == 'checkpointing'
    side = round((shape.native_tokens - 1) ** 0.5) * shape.patch_size
    flops = distillation_flops(
        shape,
        size,
        side,
        crops,
        checkpointing=checkpointing,
        whole_last_teacher_block=reference,
        recomputed_attention=not reference,
    )
    held = distillation_bytes(shape, size, materialised=reference, checkpointing=checkpointing)
    # Weights, their gradient and that of the scores, of the one block that is at work.
    at_work = 3 * 4 * shape.heads * shape.tokens(size) ** 2 if reference else 0
    return flops, held.total - held.gradients + at_work


class Step:
    """A distillation step, stage by stage.

    Args:
        model: Name of open_clip's.
        mode: One of ``MODES``.
        size: Pixels a side of the student's images.
        crops: Crops of an image.
        towers: Student and teacher whose weights are used too, so that two modes fit the memory
            together; new ones by default.
        images: Images of the batch.
        device: Where it runs.
        dtype: Of autocast, None for none; float16 has a scaler of the loss.

    Attributes:
        value: The loss of the last step.
    """

    def __init__(
        self,
        model: str,
        mode: str,
        size: int,
        crops: int,
        towers: tuple[ViTTower, ViTTower] | None = None,
        images: int = 1,
        device: str = 'cpu',
        dtype: torch.dtype | None = None,
    ) -> None:
        torch.manual_seed(0)
        self.reference = mode == 'reference'
        self.device, self.dtype = device, dtype
        if towers is None:
            self.student = build_tower(model).train()
            self.teacher = copy.deepcopy(self.student)
        else:
            self.student = type(towers[0])(towers[0].visual).train()
            self.student.source = towers[0].source
            self.teacher = type(towers[1])(towers[1].visual)
        self.ours = (self.student, self.teacher)
        if self.reference:
            self.student, self.teacher = as_reference(self.student), as_reference(self.teacher)
            self.text = [text_tower_of(self.student).to(device) for _ in range(2)]
        self.student.to(device), self.teacher.to(device)
        self.student.activation_checkpointing = mode == 'checkpointing'
        self.student.unlock_blocks()
        self.teacher.freeze()
        side = self.student.image_size
        generator = torch.Generator().manual_seed(0)
        corners = torch.rand(crops, 2, generator=generator) * size / 2
        self.boxes_px = [torch.cat([corners, corners + size / 4], dim=1).to(device)] * images
        self.image = torch.randn(images, 3, size, size, generator=generator).to(device)
        pixels = torch.randn(images, crops, 3, side, side, generator=generator)
        if self.reference:
            rest = max(CROPS_OF_AN_IMAGE - crops, 0)
            pixels = torch.cat([pixels, pixels.new_zeros(images, rest, 3, side, side)], dim=1)
        valid = torch.arange(pixels.shape[1]) < crops
        self.crops = pixels.flatten(0, 1).to(device)
        self.valid = valid.repeat(images).to(device)
        self.loss = CosineDistillLoss()
        decayed, plain = split_by_dimension(self.student)
        groups = [{'params': decayed}, {'params': plain, 'weight_decay': 0.0}]
        config = dict(type='AdamW', lr=1e-5, weight_decay=0.1, params=groups)
        self.optimizer = (OPTIMIZERS.build if self.reference else build_fused)(config)
        scaler = getattr(torch.amp, 'GradScaler', torch.cuda.amp.GradScaler)  # newer, older torch
        self.scaler = scaler() if dtype is torch.float16 else None
        self._make_moments()

    def _make_moments(self) -> None:
        for group in self.optimizer.param_groups:
            for parameter in group['params']:
                parameter.grad = torch.zeros_like(parameter)
        self.optimizer.step()
        self.optimizer.zero_grad()

    def run(self) -> dict[str, float]:
        """Take one step; gives the seconds of each stage, on a card those of the host."""
        times = [clock()]
        precision = torch.autocast(self.device, self.dtype, enabled=self.dtype is not None)
        with torch.no_grad(), precision:
            crops = self.crops[self.valid] if self.reference else self.crops
            target = self.teacher.encode_image(crops)
        times.append(clock())
        with precision:
            dense = self.student.encode_dense(self.image)
            pooled = roi_pool(dense, self.boxes_px, self.student.patch_size)
            loss = self.loss(pooled, target)
        self.value = loss.detach()
        times.append(clock())
        (loss if self.scaler is None else self.scaler.scale(loss)).backward()
        times.append(clock())
        if self.scaler is None:
            self.optimizer.step()
        else:
            self.scaler.step(self.optimizer)
            self.scaler.update()
        self.optimizer.zero_grad()
        times.append(clock())
        return {
            name: end - start for name, start, end in zip(STAGES, times, times[1:], strict=False)
        }


def measure_memory(
    queue: multiprocessing.Queue, threads: int, model: str, mode: str, size: int, crops: int
) -> None:
    """Puts (peak memory, memory before anything was built), in bytes, in the queue."""
    torch.set_num_threads(threads)
    before = peak_bytes()
    Step(model, mode, size, crops).run()
    queue.put((peak_bytes(), before))


def alone(run: Callable, *args: object) -> tuple[int, int]:
    """What a function puts in its queue, from a process of its own.

    Raises:
        RuntimeError: The process failed.
    """
    context = multiprocessing.get_context('spawn')
    queue = context.Queue()
    process = context.Process(target=run, args=(queue, *args))
    process.start()
    process.join()
    if process.exitcode:
        raise RuntimeError(f'the step failed in its process (exit code {process.exitcode})')
    return queue.get()


def measure_times(
    modes: list[str], model: str, size: int, crops: int, repeats: int
) -> dict[str, dict[str, float]]:
    """Median seconds of every stage of each mode, measured in turn after one step to warm up."""
    steps: dict[str, Step] = {}
    for mode in modes:
        first = next(iter(steps.values()), None)
        steps[mode] = Step(model, mode, size, crops, towers=first and first.ours)
    runs: dict[str, list[dict[str, float]]] = {mode: [] for mode in modes}
    for index in range(repeats + 1):
        for mode, step in steps.items():
            took = step.run()
            print(f'  {mode:<14}{sum(took.values()):8.2f} s', file=sys.stderr, flush=True)
            if index:
                runs[mode].append(took)
    return {
        mode: {stage: statistics.median(run[stage] for run in taken) for stage in STAGES}
        for mode, taken in runs.items()
    }


def report(mode: str, result: dict, rates: dict[str, float]) -> str:
    """A mode's lines of the table."""
    flops, moved = result['flops'], result['optimizer_bytes']
    lines = [
        f'{mode}: {sum(flops.values()) / 1e12:.2f} TFLOP, '
        f'about {result["counted_bytes"] / 2**30:.1f} GiB counted'
    ]
    if 'seconds' in result:
        for stage, seconds in result['seconds'].items():
            work, unit, rate = (
                (moved, 'GB', rates['copy'])
                if stage == 'optimizer'
                else (flops[stage], 'GFLOP', rates['fp32'])
            )
            lines.append(
                f'  {stage:<10}{seconds:8.2f} s {work / 1e9:8.1f} {unit:<6}'
                f'{work / seconds / rate:5.0%} of the rate'
            )
        lines.append(f'  {"step":<10}{result["step"]:8.2f} s {"":>15}{result["share"]:5.0%}')
    if 'peak' in result:
        peak, before = result['peak'] / 2**30, result['before'] / 2**30
        lines.append(f'  peak {peak:.2f} GiB, of which {before:.2f} GiB before anything was built')
    return '\n'.join(lines)


def main() -> None:
    """Counts, measures and prints; writes the same numbers as json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--model', choices=sorted(SHAPES), default='EVA02-B-16')
    parser.add_argument(
        '--size', type=int, default=512, help="pixels a side of the student's image"
    )
    parser.add_argument('--crops', type=int, default=12)
    parser.add_argument('--modes', nargs='+', choices=MODES, default=['ours', 'reference'])
    parser.add_argument('--repeats', type=int, default=3, help='the median of so many steps')
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--only', choices=['count', 'time', 'memory'])
    parser.add_argument('--json', type=Path, help='file to write')
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    what = (args.size, args.crops)
    results: dict[str, dict] = {}
    for mode in args.modes:
        flops, held = count(mode, args.model, *what)
        results[mode] = {
            'flops': dict(
                teacher=flops.teacher,
                forward=flops.student_forward,
                backward=flops.student_backward,
            ),
            'optimizer_bytes': adamw_bytes(trained_parameters(SHAPES[args.model])),
            'counted_bytes': held,
        }
    rates = {} if args.only == 'count' else ceilings()
    free = 0.85 * available_bytes() - INTERPRETER
    # In one process: the largest mode, and the moments of the others.
    moments = 8 * trained_parameters(SHAPES[args.model]) * (len(args.modes) - 1)
    fitting = [mode for mode in args.modes if results[mode]['counted_bytes'] + moments < free]
    if args.only in (None, 'time'):
        times = measure_times(fitting, args.model, *what, args.repeats)
        for mode, seconds in times.items():
            result, step = results[mode], sum(seconds.values())
            rate = sum(result['flops'].values()) / step
            result |= dict(seconds=seconds, step=step, share=rate / rates['fp32'])
    if args.only in (None, 'memory'):
        for mode in fitting:
            peak = alone(measure_memory, args.threads, args.model, mode, *what)
            results[mode] |= dict(zip(('peak', 'before'), peak, strict=True))
    print(f'{args.model}, {args.size} px, {args.crops} crops, {args.threads} thread(s)')
    if rates:
        print(
            f'this machine: fp32 {rates["fp32"] / 1e9:.0f} GFLOP/s, '
            f'bf16 {rates["bf16"] / 1e9:.1f} GFLOP/s, copy {rates["copy"] / 1e9:.1f} GB/s'
        )
    for mode, result in results.items():
        print(report(mode, result, rates) + ('' if mode in fitting else '\n  not run: no memory'))
    print_ratios(results)
    if args.json:
        named = vars(args) | {'json': str(args.json)}
        args.json.write_text(json.dumps(dict(options=named, rates=rates, modes=results), indent=1))


def print_ratios(results: dict[str, dict]) -> None:
    """Say how every other mode compares with the reference, where both were measured."""
    reference = results.get('reference', {})
    for mode, result in results.items():
        if mode == 'reference':
            continue
        if 'step' in result and 'step' in reference:
            print(f'{mode}: {reference["step"] / result["step"]:.2f} times as fast as reference')
        if 'peak' in result and 'peak' in reference:
            whole = result['peak'] / reference['peak']
            own = [item['peak'] - item['before'] for item in (result, reference)]
            print(f'{mode}: {whole:.2f} of its peak memory ({own[0] / own[1]:.2f} without Python)')
        elif reference:
            counted = result['counted_bytes'] / reference['counted_bytes']
            print(f'{mode}: {counted:.2f} of its counted memory')


if __name__ == '__main__':
    main()
