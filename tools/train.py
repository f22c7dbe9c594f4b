"""Train a config: python tools/train.py CONFIG [--work-dir DIR] [--resume] [--amp] ..."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from mmengine.config import Config
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from clipself_mm.launch import (
    add_launch_options,
    keyboard_interrupts,
    prepare_processes,
    read_config,
)


def parse_args() -> argparse.Namespace:
    """Parse the command line, which is that of mmdet's tools/train.py."""
    parser = argparse.ArgumentParser(description='Train a config.')
    add_launch_options(parser)
    parser.add_argument('--amp', action='store_true', help='mixed precision')
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help='scale lr by actual / base batch size',
    )
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        help='resume from this checkpoint; without a value, from the latest of the work dir if any',
    )
    return parser.parse_args()


def apply_options(config: Config, args: argparse.Namespace) -> None:
    """Apply the training options to the config."""
    if args.amp and config.optim_wrapper.get('type') != 'AmpOptimWrapper':
        config.optim_wrapper.update(type='AmpOptimWrapper', loss_scale='dynamic')
    if args.auto_scale_lr:
        if 'base_batch_size' not in config.get('auto_scale_lr', {}):
            raise KeyError(f'--auto-scale-lr: {args.config} has no auto_scale_lr.base_batch_size')
        config.auto_scale_lr.enable = True
    if args.resume is not None:
        if args.resume != 'auto':
            config.update(resume=True, load_from=args.resume)
        elif Path(config.work_dir, 'last_checkpoint').is_file():
            config.update(resume=True, load_from=None)


@keyboard_interrupts()
def main() -> None:
    """Read the config, build the runner, train."""
    args = parse_args()
    config = read_config(args)
    apply_options(config, args)
    prepare_processes(config)
    runner = RUNNERS.build(config) if 'runner_type' in config else Runner.from_cfg(config)
    runner.train()


if __name__ == '__main__':
    main()
