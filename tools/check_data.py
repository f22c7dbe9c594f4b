"""Check the data of a config before a run: python tools/check_data.py CONFIG [--deep]."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

from mmengine.config import Config, DictAction
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from clipself_mm.datasets.checks.check_data import check_config
from clipself_mm.datasets.checks.check_images import ImageChecks
from clipself_mm.datasets.checks.check_reading import check_reading
from clipself_mm.model_index import CONFIG_HELP, config_file


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description='Check that the files of a config exist and that data sets and evaluators can '
        'read them, as a run does. Prints what is used of each annotation file.'
    )
    parser.add_argument('config', type=config_file, help=CONFIG_HELP)
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, help='as in train.py')
    parser.add_argument(
        '--deep', action='store_true', help='decode every image and label map (default: its header)'
    )
    parser.add_argument('--workers', type=int, default=0, help='processes that read images')
    parser.add_argument(
        '--record',
        type=Path,
        help='text file of the images that --deep has checked: a stopped check goes on, and only '
        'changed images are checked again (default: work_dirs/check_data/CONFIG.txt)',
    )
    return parser.parse_args()


def main() -> None:
    """Print one line per finding; the exit code is 1 if anything is missing or broken."""
    args = parse_args()
    config = Config.fromfile(args.config)
    config.merge_from_dict(args.cfg_options or {})
    record = args.record or Path('work_dirs', 'check_data', f'{Path(args.config).stem}.txt')
    if args.deep:
        record.parent.mkdir(parents=True, exist_ok=True)
    checks = ImageChecks(args.deep, args.workers, record, partial(tqdm, disable=None))

    seen, bad = set(), set()
    for check in (check_config(config), check_reading(config, checks)):
        for finding in check:
            if finding in seen or (finding.problem and finding.path in bad):
                continue
            seen.add(finding)
            kind = 'WRONG' if finding.problem else 'DOUBT' if finding.doubt else 'ok'
            if finding.problem:
                bad.add(finding.path)
            text = finding.problem or finding.doubt or finding.note
            print(f'{kind:<6} {finding.path}: {text}', flush=True)
    if bad:
        sys.exit(
            f'{len(bad)} of the files above are missing or broken; docs/data.md shows the layout'
        )
    print('All files of the config exist and can be read.')


if __name__ == '__main__':
    main()
