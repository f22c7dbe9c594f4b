r"""Fills the teacher store of a config ahead: python tools/fill_teacher_store.py CONFIG [options].

With several processes:
    python -m torch.distributed.run --nproc_per_node=8 tools/fill_teacher_store.py CONFIG \
        --launcher pytorch
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from mmengine.dist import is_main_process

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from clipself_mm.distillers.teacher_store_filling import fill_teacher_store
from clipself_mm.launch import add_launch_options, prepare_processes, read_config


def parse_args() -> argparse.Namespace:
    """The command line, as mm's training tools have it."""
    parser = argparse.ArgumentParser(description='Fill the teacher store of a config ahead.')
    add_launch_options(parser)
    parser.add_argument('--amp', action='store_true', help='mixed precision, if the training is')
    parser.add_argument('--epochs', type=int, help='how many epochs; by default all of them')
    return parser.parse_args()


def main() -> None:
    """Reads the config, fills, says how much."""
    args = parse_args()
    config = read_config(args)
    if args.amp:
        config.optim_wrapper.type = 'AmpOptimWrapper'
    if args.epochs is not None:
        if 'max_epochs' not in config.train_cfg:
            raise SystemExit('--epochs: this config counts iterations, set train_cfg.max_iters')
        config.train_cfg.max_epochs = args.epochs
    prepare_processes(config)
    encoded, found = fill_teacher_store(config)
    if is_main_process():
        print(f'{config.model.teacher_store.folder}: {encoded} crops encoded, {found} found')


if __name__ == '__main__':
    main()
