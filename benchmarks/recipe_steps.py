"""Time of a training step of several distillation configs, relative to the first, in one run.

    python -m benchmarks.recipe_steps configs/shapes/clipself_tiny_patches_shapes-ov.py \
        configs/shapes/clipself_tiny_objects_shapes-ov.py --rounds 20

A step is loading a batch, forward, backward and update, as in training, without hooks. The
configs take turns (A B C A B C ...), some steps each; a ratio is the median over the rounds. With
one thread (OMP_NUM_THREADS=1) and a loader without workers, times are processor time.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from mmengine.config import Config, DictAction
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, init_default_scope
from mmengine.runner import Runner

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.machine import clock


def steps_of(config: Config) -> Iterator[None]:
    """Train without end; each item is a step that has been made.

    Args:
        config: Of a distillation.
    """
    init_default_scope(config.default_scope)
    model = MODELS.build(config.model).train()
    optimizer = build_optim_wrapper(model, config.optim_wrapper)
    loader = Runner.build_dataloader(config.train_dataloader, seed=0)
    for epoch in count():
        loader.sampler.set_epoch(epoch)
        for batch in loader:
            model.train_step(batch, optimizer)
            yield


def step_seconds(configs: list[Config], rounds: int, steps: int) -> list[list[float]]:
    """Mean seconds of a step, per config and round.

    Args:
        configs: Of distillations.
        rounds: How often all take their turn, after one to warm up.
        steps: Steps of a turn.
    """
    trainings = [steps_of(config) for config in configs]
    seconds: list[list[float]] = [[] for _ in configs]
    for round_number in range(rounds + 1):
        for training, measured in zip(trainings, seconds, strict=True):
            start = clock()
            for _ in range(steps):
                next(training)
            if round_number:
                measured.append((clock() - start) / steps)
    return seconds


def table_rows(paths: list[Path], seconds: list[list[float]]) -> list[str]:
    """Lines of the table: config, median in ms, median ratio and its deviation over the rounds.

    Args:
        paths: The configs.
        seconds: Result of ``step_seconds``, of two rounds or more.
    """
    rows = []
    for path, measured in zip(paths, seconds, strict=True):
        ratios = [own / first for own, first in zip(measured, seconds[0], strict=True)]
        ratio, deviation = statistics.median(ratios), statistics.stdev(ratios)
        milliseconds = 1000 * statistics.median(measured)
        rows.append(f'{path.stem},{milliseconds:.1f},{ratio:.2f},{deviation:.2f}')
    return rows


def main() -> None:
    """Print a row per config."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('configs', nargs='+', type=Path)
    parser.add_argument('--rounds', type=int, default=20)
    parser.add_argument('--steps', type=int, default=5, help='of a turn')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, default={})
    args = parser.parse_args()
    if args.rounds < 2:
        parser.error(f'--rounds must be at least 2, got {args.rounds}')
    configs = [Config.fromfile(path) for path in args.configs]
    for config in configs:
        config.merge_from_dict(args.cfg_options)
    print('config,ms of a step,ratio,deviation')
    for line in table_rows(args.configs, step_seconds(configs, args.rounds, args.steps)):
        print(line)


if __name__ == '__main__':
    main()
