"""Shared by the tools: mm's command line options, reading the config, launch on CPU."""

from __future__ import annotations

import argparse
import atexit
import contextlib
import ctypes
import datetime
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import torch.distributed
from mmengine.config import Config, DictAction
from mmengine.device import get_device

from clipself_mm.model_index import CONFIG_HELP, config_file

#: Option of Linux' prctl (linux/prctl.h): the signal that follows the death of the parent.
_PR_SET_PDEATHSIG = 1
#: Data loaders of a config.
DATALOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')
#: Their options that need workers.
WORKER_OPTIONS = ('persistent_workers', 'prefetch_factor', 'timeout', 'multiprocessing_context')


def add_launch_options(parser: argparse.ArgumentParser) -> None:
    """Add the config and the options of every mm tool."""
    parser.add_argument('config', type=config_file, help=CONFIG_HELP)
    parser.add_argument('--work-dir', help='where logs and checkpoints go')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        help='overrides of config values, e.g. train_dataloader.batch_size=4 key="[a,b]"',
    )
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none')
    parser.add_argument(
        '--local_rank', '--local-rank', type=int, default=0, help='given by the launcher'
    )


def read_config(args: argparse.Namespace) -> Config:
    """Read ``args.config`` and apply the options of :func:`add_launch_options`.

    The work folder is ``--work-dir``, else ``work_dir`` of the config, else ``work_dirs/NAME``.
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
    drop_worker_options(config)
    if get_device() == 'cpu':
        for name in DATALOADERS:
            if isinstance(config.get(name), dict):
                config[name].pop('pin_memory', None)  # torch warns of it in every epoch
    return config


def drop_worker_options(config: Config) -> None:
    """Remove what torch refuses in a data loader without workers, where it has no meaning.

    So `--cfg-options train_dataloader.num_workers=0` suffices.

    Args:
        config: Changed in place.
    """
    for name in DATALOADERS:
        dataloader = config.get(name)
        if isinstance(dataloader, dict) and not dataloader.get('num_workers'):
            for key in WORKER_OPTIONS:
                dataloader.pop(key, None)


@contextlib.contextmanager
def keyboard_interrupts() -> Iterator[None]:
    """Let Ctrl-C be a `KeyboardInterrupt` everywhere.

    Where mmengine formats a config, for the log and for each checkpoint, it raises SyntaxError with
    the text of the config in place of any exception.
    """
    try:
        yield
    except SyntaxError as error:
        if isinstance(error.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from None
        raise


def replace_tower(config: Config, tower: str) -> None:
    """Replace the tower in a config.

    Args:
        config: Config with ``model.tower`` or ``model.backbone.tower``; changed in place.
        tower: A model with its scheme, such as ``local-dir:FOLDER``, or a weights file.

    Raises:
        KeyError: The model has no tower.
    """
    for parent in (config.model, config.model.get('backbone', {})):
        if 'tower' in parent:
            break
    else:
        raise KeyError(f'--tower: {config.model.get("type")} and its backbone have no tower')
    if ':' in tower:
        parent['tower'].update(model=tower, checkpoint=None)
    else:
        parent['tower'].update(checkpoint=tower)


def prepare_processes(config: Config) -> None:
    """Tie processes to their launcher, and make a torchrun launch work on a CPU.

    mmengine calls ``torch.cuda.set_device`` and passes a device id to DDP, both errors on a CPU.
    The Runner uses the gloo process group that is initialised here.

    Args:
        config: Config of the Runner; ``device_ids`` of its ``model_wrapper_cfg`` becomes None.
    """
    if config.launcher != 'none':
        end_with_parent()
    if config.launcher != 'pytorch' or get_device() != 'cpu':
        return
    timeout = config.get('env_cfg', {}).get('dist_cfg', {}).get('timeout', 1800)
    torch.distributed.init_process_group('gloo', timeout=datetime.timedelta(seconds=timeout))
    # If gloo's threads outlive the interpreter, it may abort at exit.
    atexit.register(torch.distributed.destroy_process_group)
    wrapper = config.get('model_wrapper_cfg') or {
        'type': 'MMDistributedDataParallel',
        'broadcast_buffers': False,
        'find_unused_parameters': config.get('find_unused_parameters', False),
    }
    config.model_wrapper_cfg = {**wrapper, 'device_ids': None}


def end_with_parent() -> None:
    """Have Linux kill this process when its parent ends; does nothing on other systems.

    torchrun starts ranks in sessions of their own, so they would outlive a killed launcher.
    """
    if not sys.platform.startswith('linux'):
        return
    parent = os.getppid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before the call
        os.kill(os.getpid(), signal.SIGKILL)
