r"""Measure region accuracy at several input sizes and draw it, as in Figure A1 of the paper.

python tools/region_accuracy_by_size.py \
    configs/region_eval/region-eval_openai-b16_coco-panoptic.py \
    --sizes 320 480 640 800 1024 --out work_dirs/figure_a1
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from mmengine.dist import is_main_process
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from clipself_mm.launch import add_launch_options, prepare_processes, read_config
from projects.size_sweep.accuracy import draw_accuracy_by_size
from projects.size_sweep.sweep import measure_by_size


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description='Region accuracy against input size.')
    add_launch_options(parser)
    parser.add_argument(
        '--sizes', nargs='+', type=int, required=True, help='sides of the dense input, pixels'
    )
    parser.add_argument(
        '--out', type=Path, help='folder of accuracy.csv and accuracy.png, default: the work dir'
    )
    return parser.parse_args()


def main() -> None:
    """Measure the sizes that are not in the csv file, draw all, print the paths."""
    args = parse_args()
    config = read_config(args)
    out = args.out or Path(config.work_dir)
    if args.out is not None and args.work_dir is None:
        config.work_dir = str(out)
    prepare_processes(config)
    table = measure_by_size(
        config, args.sizes, out / 'accuracy.csv', progress=lambda s: tqdm(s, unit='size')
    )
    if is_main_process():
        figure = out / 'accuracy.png'
        draw_accuracy_by_size({Path(args.config).stem: table.rows}).savefig(figure, dpi=100)
        print(f'{table.path}\n{figure}')


if __name__ == '__main__':
    main()
