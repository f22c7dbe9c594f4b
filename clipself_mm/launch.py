"""What the tools share: mm's options, the config, its tower, processes on a CPU."""

from __future__ import annotations

import argparse
import atexit
import datetime
import os
from pathlib import Path

import torch.distributed
from mmengine.config import Config, DictAction
from mmengine.device import get_device


def add_launch_options(parser: argparse.ArgumentParser) -> None:
    """Adds the config and the options every mm tool takes."""
    parser.add_argument('config', help='config file')
    parser.add_argument('--work-dir', help='where logs and checkpoints go')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        help='overrides of config values, as train_dataloader.batch_size=4 key="[a,b]"',
    )
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none')
    parser.add_argument(
        '--local_rank', '--local-rank', type=int, default=0, help='given by the launcher'
    )


def read_config(args: argparse.Namespace) -> Config:
    """Reads ``args.config`` and applies the options of :func:`add_launch_options`.

    The work folder is ``--work-dir``, else the config's own, else ``work_dirs/`` plus its name.
    """
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    config = Config.fromfile(args.config)
    config.launcher = args.launcher
    if args.cfg_options is not None:
        config.merge_from_dict(args.cfg_options)
    if args.work_dir is not None:
        config.work_dir = args.work_dir
    elif config.get('work_dir') is None:
        config.work_dir = str(Path('work_dirs', Path(args.config).stem))
    return config


def replace_tower(config: Config, tower: str) -> None:
    """Puts another tower into a config whose model or whose backbone holds one.

    Args:
        config: Has ``model.tower`` or ``model.backbone.tower``; changed in place.
        tower: A model with its scheme, as ``local-dir:FOLDER``, or a file of weights.

    Raises:
        KeyError: The model holds no tower.
    """
    for place in (config.model, config.model.get('backbone', {})):
        if 'tower' in place:
            break
    else:
        raise KeyError(f'--tower: a {config.model.get("type")} has no tower, nor its backbone')
    if ':' in tower:
        place['tower'].update(model=tower, checkpoint=None)
    else:
        place['tower'].update(checkpoint=tower)


def prepare_processes(config: Config) -> None:
    """Lets a torchrun launch work on a machine without an accelerator; changes nothing elsewhere.

    mmengine's own start calls ``torch.cuda.set_device`` and hands DDP a device id, both errors on a
    CPU. The gloo group that is started here is taken over by the Runner.

    Args:
        config: What the Runner will be built from; its ``model_wrapper_cfg`` loses its device ids.
    """
    if config.launcher != 'pytorch' or get_device() != 'cpu':
        return
    timeout = config.get('env_cfg', {}).get('dist_cfg', {}).get('timeout', 1800)
    torch.distributed.init_process_group('gloo', timeout=datetime.timedelta(seconds=timeout))
    # gloo's threads must end before the interpreter does, else it may abort at exit.
    atexit.register(torch.distributed.destroy_process_group)
    wrapper = config.get('model_wrapper_cfg') or {
        'type': 'MMDistributedDataParallel',
        'broadcast_buffers': False,
        'find_unused_parameters': config.get('find_unused_parameters', False),
    }
    config.model_wrapper_cfg = {**wrapper, 'device_ids': None}
