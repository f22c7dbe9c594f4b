r"""Fill the teacher cache before training: python tools/fill_teacher_cache.py CONFIG [options].

With several processes:
    python -m torch.distributed.run --nproc_per_node=8 tools/fill_teacher_cache.py CONFIG \
        --launcher pytorch
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import all_reduce, init_dist, is_distributed, is_main_process
from mmengine.registry import MODELS, init_default_scope
from mmengine.runner import Runner
from mmengine.runner.amp import autocast
from torch.utils.data import DataLoader
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from clipself_mm.launch import add_launch_options, prepare_processes, read_config


def parse_args() -> argparse.Namespace:
    """Parse the command line, with the options of mm's training tools."""
    parser = argparse.ArgumentParser(description='Fill the teacher cache before training.')
    add_launch_options(parser)
    parser.add_argument('--amp', action='store_true', help='mixed precision, as in the training')
    parser.add_argument('--epochs', type=int, help='number of epochs; default: all of train_cfg')
    return parser.parse_args()


def batches(loop: dict, loader: DataLoader) -> Iterator[dict]:
    """Yield the batches of a training with this `train_cfg`."""
    if 'max_epochs' not in loop:
        yield from islice(loader, loop['max_iters'])
        return
    for epoch in range(loop['max_epochs']):
        loader.sampler.set_epoch(epoch)
        yield from loader


def fill_teacher_cache(config: Config) -> tuple[int, int]:
    """Encode all crops of the training that are not cached.

    Regions depend on seed, epoch and image only, so these are the crops of the training. A stopped
    run can be started again; its crops are cached. Several processes share the work.

    Args:
        config: A distillation with `model.teacher_cache`. Mixed precision is that of
            `optim_wrapper`.

    Returns:
        Number of crops encoded and number found in the cache, over all processes.

    Raises:
        ValueError: There is no cache, or no seed (then every run has other regions).
    """
    for owner, key in (('model', 'teacher_cache'), ('randomness', 'seed')):
        if config.get(owner, {}).get(key) is None:
            raise ValueError(f'{config.filename}: {owner}.{key} is required, but not set')
    model = MODELS.build(config.model).to(get_device()).eval()
    loader = Runner.build_dataloader(config.train_dataloader, seed=config.randomness.seed)
    mixed = config.optim_wrapper.get('type') == 'AmpOptimWrapper'
    dtype = config.optim_wrapper.get('dtype')
    loop = config.train_cfg
    length = loop.max_epochs * len(loader) if 'max_epochs' in loop else loop.max_iters
    encoded = regions = 0
    for batch in tqdm(batches(loop, loader), total=length, disable=not is_main_process()):
        data = model.data_preprocessor(batch)
        crops = data['inputs']['crops']
        with autocast(enabled=mixed, dtype=None if dtype is None else getattr(torch, dtype)):
            regions += len(model.targets(crops, data['data_samples']))
        encoded += len(crops)
    counts = torch.tensor([encoded, regions - encoded], device=get_device())
    all_reduce(counts)
    return tuple(counts.tolist())


def main() -> None:
    """Fill the cache and print the numbers of crops."""
    args = parse_args()
    config = read_config(args)
    if args.amp:
        config.optim_wrapper.type = 'AmpOptimWrapper'
    if args.epochs is not None:
        if 'max_epochs' not in config.train_cfg:
            raise SystemExit('--epochs: this config counts iterations, set train_cfg.max_iters')
        config.train_cfg.max_epochs = args.epochs
    prepare_processes(config)
    init_default_scope(config.get('default_scope', 'mmengine'))
    if config.launcher != 'none' and not is_distributed():
        init_dist(config.launcher, **config.get('env_cfg', {}).get('dist_cfg', {}))
    encoded, found = fill_teacher_cache(config)
    if is_main_process():
        print(f'{config.model.teacher_cache.folder}: {encoded} crops encoded, {found} found')


if __name__ == '__main__':
    main()
