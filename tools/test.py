"""Test the model of a config: python tools/test.py CONFIG [CHECKPOINT] [--out FILE.pkl] ..."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from mmengine.config import Config, ConfigDict
from mmengine.evaluator import DumpResults
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
    """Parse the command line, which is that of mmdet's tools/test.py."""
    parser = argparse.ArgumentParser(description='Test a config.')
    add_launch_options(parser)
    parser.add_argument(
        'checkpoint', nargs='?', help='checkpoint; by default load_from of the config'
    )
    parser.add_argument('--out', help='write the predictions to this .pkl file')
    parser.add_argument('--show-dir', help='draw the predictions into this folder')
    parser.add_argument('--tta', action='store_true', help='test-time augmentation of the config')
    return parser.parse_args()


def draw_into(config: Config, folder: Path) -> None:
    """Enable the visualization hook of the config."""
    hook = config.get('default_hooks', {}).get('visualization')
    if hook is None:
        raise KeyError('--show-dir: the config has no default_hooks.visualization')
    hook.draw = True
    if hook.type == 'SegVisualizationHook':
        config.visualizer.save_dir = str(folder)
    else:
        hook.test_out_dir = str(folder)  # absolute: mmdet puts a relative one into the work dir


def augment(config: Config) -> None:
    """Use `tta_model` and `tta_pipeline` of the config, as mmdet's tools/test.py does."""
    missing = [key for key in ('tta_model', 'tta_pipeline') if key not in config]
    if missing:
        raise KeyError(f'--tta: the config has no {" and no ".join(missing)}')
    config.model = ConfigDict(**config.tta_model, module=config.model)
    config.test_dataloader.dataset.pipeline = config.tta_pipeline


@keyboard_interrupts()
def main() -> None:
    """Read the config, build the runner, test."""
    args = parse_args()
    config = read_config(args)
    config.load_from = args.checkpoint or config.get('load_from')
    if args.show_dir is not None:
        draw_into(config, Path(args.show_dir).resolve())
    if args.tta:
        augment(config)
    prepare_processes(config)
    runner = RUNNERS.build(config) if 'runner_type' in config else Runner.from_cfg(config)
    if args.out is not None:
        runner.test_evaluator.metrics.append(DumpResults(out_file_path=args.out))
    runner.test()


if __name__ == '__main__':
    main()
