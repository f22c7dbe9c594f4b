"""Fills a teacher store with what a training would ask of it, before it does."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import all_reduce, init_dist, is_distributed, is_main_process
from mmengine.registry import MODELS, init_default_scope
from mmengine.runner import Runner
from mmengine.runner.amp import autocast
from torch.utils.data import DataLoader
from tqdm import tqdm


def passes(config: Config, loader: DataLoader) -> Iterator[list]:
    """The batches a training of this config is given, an epoch at a time.

    Args:
        config: With an epoch loop, or with an iteration loop, all of which is one pass.
        loader: The training's data loader.

    Yields:
        An iterable over batches.
    """
    loop = config.train_cfg
    if 'max_epochs' not in loop:
        yield islice(loader, loop.max_iters)
        return
    for epoch in range(loop.max_epochs):
        loader.sampler.set_epoch(epoch)
        yield loader


def check_filling(config: Config) -> None:
    """Refuse a config whose training would not find what is filled in now.

    Raises:
        ValueError: It has no teacher store, or its regions are drawn from no fixed seed.
    """
    if config.model.get('teacher_store') is None:
        raise ValueError(
            f'{config.filename}: nothing to fill, model.teacher_store is not set '
            '(docs/teacher-store.md says how)'
        )
    if config.get('randomness', {}).get('seed') is None:
        raise ValueError(
            f'{config.filename}: randomness.seed is not set, so each run draws other regions'
        )


def fill_teacher_store(config: Config) -> tuple[int, int]:
    """Go through the training's draws and encode each crop its store lacks.

    Because random choices belong to the draw, these are the very crops the training will ask for.
    Stopped and started again, it goes on where it was: what is stored is not cut. It ends early
    once the store has reached its `max_gib`. Several processes each take their share.

    Args:
        config: A distillation with ``model.teacher_store``; its ``optim_wrapper`` says whether the
            teacher computes in mixed precision.

    Returns:
        How many crops all processes encoded, and how many they found.

    Raises:
        ValueError: See ``check_filling``, and ``TeacherStore``.
    """
    check_filling(config)
    init_default_scope(config.get('default_scope', 'mmengine'))
    if config.get('launcher', 'none') != 'none' and not is_distributed():
        init_dist(config.launcher, **config.get('env_cfg', {}).get('dist_cfg', {}))
    model = MODELS.build(config.model).to(get_device()).eval()
    loader = Runner.build_dataloader(config.train_dataloader, seed=config.randomness.seed)
    mixed = config.optim_wrapper.get('type') == 'AmpOptimWrapper'
    dtype = config.optim_wrapper.get('dtype')
    dtype = None if dtype is None else getattr(torch, dtype)
    total = torch.zeros(2, dtype=torch.long, device=get_device())
    for number, batches in enumerate(passes(config, loader)):
        counts = torch.zeros_like(total)
        length = getattr(config.train_cfg, 'max_iters', None) or len(loader)
        bar = tqdm(batches, f'pass {number}', length, disable=not is_main_process())
        for batch in bar:
            data = model.data_preprocessor(batch)
            crops, samples = data['inputs']['crops'], data['data_samples']
            with autocast(enabled=mixed, dtype=dtype):
                model.targets(crops, samples)
            counts[0] += len(crops)
            counts[1] += sum(int(sample.stored_targets.found.sum()) for sample in samples)
            if model.teacher_store.is_full:
                break
        filling = torch.tensor(not model.teacher_store.is_full, dtype=torch.long)
        filling = filling.to(total.device)
        all_reduce(filling)
        all_reduce(counts)
        total += counts
        if not filling:
            break
    encoded, found = total.tolist()
    return encoded, found
