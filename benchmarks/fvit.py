"""Time by stage, FLOPs and peak memory of a real-size F-ViT: one prediction, one training step.

    python -m benchmarks.fvit
    python -m benchmarks.fvit configs/fvit/fvit_eva02-b16_8xb8-48e_ov-lvis.py
    python -m benchmarks.fvit configs/fvit/fvit_eva02-l14-336_8xb8-3e_ov-coco.py --runs 1

Weights and pixels are random (no file is needed) and the batch is 1. The modes take turns in one
process, and medians are printed; with one thread the time is processor time. ``ours`` is the config
as it is, ``plain`` is the way without our savings (see ``fvit_reference.py``), ``unfrozen`` trains
the tower too, which a frozen one is spared. Peak memory is that of a process of its own, with and
without the step.
"""

from __future__ import annotations

import argparse
import copy
import json
import logging
import multiprocessing
import statistics
import tempfile
import time
from functools import partial
from pathlib import Path

import torch
from mmdet.testing import demo_mm_inputs
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

import clipself_mm  # noqa: F401 - registers the types
from benchmarks import fvit_stages
from benchmarks.counting import SHAPES, vit_flops
from benchmarks.fvit_reference import plain
from benchmarks.fvit_stages import Stages
from benchmarks.machine import ceilings, peak_bytes
from clipself_mm.clip.class_embeddings import save_class_embeddings
from clipself_mm.datasets import load_vocabulary

CONFIG = 'configs/fvit/fvit_eva02-b16_8xb8-3e_ov-coco.py'
BACKBONE = ('tower', 'upsamplers', 'backbone')
MODES = ('ours', 'plain', 'unfrozen')


def build(
    args: argparse.Namespace, mode: str, training: bool, images: int = 1, device: str = 'cpu'
) -> tuple[torch.nn.Module, dict]:
    """A detector with random weights and a batch of random images, ready for a step.

    Args:
        args: Of the command line.
        mode: One of ``MODES``.
        training: Whether it is to train.
        images: Of the batch.
        device: Where both are.
    """
    config = Config.fromfile(args.config)
    init_default_scope('mmdet')
    model = copy.deepcopy(config.model)
    head = model.roi_head.bbox_head
    if args.vocabulary:
        head.vocabulary = args.vocabulary
    classes = [*load_vocabulary(head.vocabulary).classes, 'background']
    side = args.side or max(config.test_dataloader.dataset.pipeline[1].scale)
    model.backbone.tower.checkpoint = None
    if mode == 'plain':
        plain(model)
    else:
        model.channels_last = args.channels_last
        model.backbone.update(frozen=mode != 'unfrozen', dtype=args.dtype)
    with tempfile.TemporaryDirectory() as folder:
        torch.manual_seed(0)
        head.cls_predictor_cfg.embeddings = str(Path(folder, 'random.pt'))
        table = torch.randn(len(classes), head.fc_out_channels)
        save_class_embeddings(head.cls_predictor_cfg.embeddings, classes, table)
        detector = MODELS.build(model)
        detector.init_weights()
        detector.to(device).train(training)
    batch = demo_mm_inputs(
        images,
        [[3, side, side]] * images,
        num_items=[8] * images,
        num_classes=len(classes) - 1,
        with_mask=model.roi_head.get('mask_head') is not None,
    )
    return detector, detector.data_preprocessor(batch, training)


def stepper(args: argparse.Namespace, mode: str, training: bool) -> partial:
    """A function of ``Stages`` that runs one step."""
    model, data = build(args, mode, training)
    if not training:
        return partial(fvit_stages.predict, model, data)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-4)
    return partial(fvit_stages.train, model, data, optimizer=optimizer)


def memory(args: argparse.Namespace, mode: str, training: bool, answers: object) -> None:
    """Run in a process of its own: puts the peaks before and after one step in a queue, GiB."""
    quiet(args)
    step = stepper(args, mode, training)
    before = peak_bytes()
    step(stages=Stages())
    answers.put((before / 2**30, peak_bytes() / 2**30))


def peaks_of(args: argparse.Namespace, mode: str, training: bool) -> tuple[float, float]:
    """Peak memory of a process that builds the detector, and of one that runs a step, in GiB.

    Raises:
        SystemExit: The process failed.
    """
    context = multiprocessing.get_context('spawn')
    answers = context.Queue()
    process = context.Process(target=memory, args=(args, mode, training, answers))
    process.start()
    process.join()
    if process.exitcode:
        raise SystemExit(f'{args.config}, {mode}: the step failed (exit code {process.exitcode})')
    return answers.get()


def count(args: argparse.Namespace, step: partial, training: bool) -> dict[str, float]:
    """FLOPs by stage; the frozen tower's from its sizes."""
    stages = Stages(count=True)
    step(stages=stages)
    found = stages.found
    name = Config.fromfile(args.config).model.backbone.tower.model
    shape = SHAPES[name.removesuffix('-quickgelu')]
    side = step.args[1]['inputs'].shape[-1]
    tower = vit_flops(shape.tokens(side), shape)
    if not training:
        return found | {'tower': tower}
    upsamplers = Stages(count=True)
    backbone = step.args[0].backbone
    with torch.no_grad():
        maps = [torch.empty(1, shape.width, *2 * [side // shape.patch_size])] * len(
            set(backbone.out_indices)
        )
        with upsamplers.stage('backbone'):
            backbone.resize(maps)
    return found | {'backbone': tower + upsamplers.found['backbone']}


def measure(args: argparse.Namespace, training: bool) -> dict:
    """All modes of one kind of step."""
    modes = [mode for mode in args.modes if training or mode != 'unfrozen']
    steps = {mode: stepper(args, mode, training) for mode in modes}
    flops = count(args, steps[modes[0]], training)
    for mode in modes[1:]:
        steps[mode](stages=Stages())  # the counting pass has warmed up the first
    taken: dict[str, list[dict[str, float]]] = {mode: [] for mode in modes}
    for _ in range(args.runs):
        for mode in modes:
            stages = Stages()
            steps[mode](stages=stages)
            taken[mode].append(stages.found)
    del steps
    results = {}
    for mode in modes:
        seconds = {
            name: statistics.median(run[name] for run in taken[mode]) for name in taken[mode][0]
        }
        total = statistics.median(sum(run.values()) for run in taken[mode])
        backbone = sum(value for name, value in seconds.items() if name in BACKBONE)
        before, after = peaks_of(args, mode, training) if args.memory else (None, None)
        results[mode] = dict(
            seconds=seconds,
            total=total,
            backbone_share=backbone / sum(seconds.values()),
            built_gib=before,
            peak_gib=after,
        )
    return dict(flops=flops, modes=results)


def show(kind: str, result: dict, rates: dict[str, float]) -> None:
    """Prints one kind of step."""
    modes, flops = result['modes'], result['flops']
    print(f'\n{kind:<28}{"GFLOP":>8}' + ''.join(f'{mode:>12}' for mode in modes) + '  of fp32 rate')
    first = next(iter(modes.values()))
    for name in first['seconds']:
        times = ''.join(f'{mode["seconds"][name]:>11.3f}s' for mode in modes.values())
        share = flops[name] / max(first['seconds'][name], 1e-9) / rates['fp32']
        print(f'{name:<28}{flops[name] / 1e9:>8.1f}{times}' + (f'{share:>12.0%}' if share else ''))
    total = sum(flops.values())
    times = ''.join(f'{mode["total"]:>11.3f}s' for mode in modes.values())
    print(f'{"all":<28}{total / 1e9:>8.1f}{times}{total / first["total"] / rates["fp32"]:>12.0%}')
    counted = sum(value for name, value in flops.items() if name in BACKBONE) / total
    shares = ''.join(f'{mode["backbone_share"]:>12.0%}' for mode in modes.values())
    print(f'{"share of the backbone":<28}{counted:>8.0%}{shares}')
    for key in ('built_gib', 'peak_gib'):
        if first[key] is not None:
            print(f'{key:<36}' + ''.join(f'{mode[key]:>12.2f}' for mode in modes.values()))


def quiet(args: argparse.Namespace) -> None:
    """Set the threads and keep mmengine from logging every weight."""
    torch.set_num_threads(args.threads)
    logging.disable(logging.WARNING)


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', nargs='?', default=CONFIG, help=f'default {CONFIG}')
    parser.add_argument('--side', type=int, help="pixels a side, by default the config's")
    parser.add_argument('--vocabulary', help='for another number of classes, e.g. ov_lvis')
    parser.add_argument('--steps', nargs='+', choices=['predict', 'train'], default=['predict'])
    parser.add_argument('--modes', nargs='+', choices=MODES, default=['ours', 'plain'])
    parser.add_argument('--dtype', default='float32', help="of our mode's tower")
    parser.add_argument('--channels-last', action='store_true', help='of our mode')
    parser.add_argument('--runs', type=int, default=3, help='of which the median is printed')
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--no-memory', dest='memory', action='store_false')
    parser.add_argument('--json', type=Path, help='file for all figures')
    return parser.parse_args()


def main() -> None:
    """Measures what the command line asks for and prints it."""
    args = parse_args()
    quiet(args)
    start = time.time()
    rates = ceilings()
    print(
        f'{args.config}: {args.threads} thread(s), fp32 {rates["fp32"] / 1e9:.1f} GFLOP/s, '
        f'bf16 {rates["bf16"] / 1e9:.1f} GFLOP/s, copy {rates["copy"] / 1e9:.1f} GB/s'
    )
    results = {kind: measure(args, kind == 'train') for kind in args.steps}
    for kind, result in results.items():
        show(kind, result, rates)
    print(f'\n{time.time() - start:.0f} s in all')
    if args.json:
        options = {name: str(value) for name, value in vars(args).items()}
        args.json.write_text(json.dumps(dict(options=options, rates=rates, **results), indent=1))


if __name__ == '__main__':
    main()
