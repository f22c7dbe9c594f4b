"""Draw the regions and crops of a config's dataset as PNG files.

python tools/browse_regions.py CONFIG --out-dir work_dirs/regions --number 10
"""

import argparse
import sys
from pathlib import Path

from mmengine.config import Config, DictAction

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from clipself_mm.model_index import CONFIG_HELP, config_file
from clipself_mm.visualization.region_browser import browse


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description='Draw the regions and crops of a dataset.')
    parser.add_argument('config', type=config_file, help=CONFIG_HELP)
    parser.add_argument('--out-dir', default='work_dirs/regions', help='folder of the figures')
    parser.add_argument('--number', type=int, default=10, help='number of samples')
    parser.add_argument('--split', default='train', choices=('train', 'val', 'test'))
    parser.add_argument('--epoch', type=int, default=0, help='epoch of the regions')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, help='key=value overrides')
    return parser.parse_args()


def main() -> None:
    """Write the figures and print their paths."""
    args = parse_args()
    config = Config.fromfile(args.config)
    config.merge_from_dict(args.cfg_options or {})
    for path in browse(config, args.out_dir, args.number, args.split, args.epoch):
        print(path)


if __name__ == '__main__':
    main()
