"""List the files of a config and those missing or broken: python tools/check_data.py CONFIG."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from mmengine.config import Config, DictAction

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from clipself_mm.datasets.checks.check_data import check_config


def main() -> None:
    """Print one line per file; the exit code is 1 if any is missing or broken."""
    parser = argparse.ArgumentParser(description='Check the files of a config.')
    parser.add_argument('config', help='config file')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, help='as in train.py')
    args = parser.parse_args()
    config = Config.fromfile(args.config)
    config.merge_from_dict(args.cfg_options or {})

    bad = 0
    for finding in check_config(config):
        bad += bool(finding.problem)
        print(f'{"WRONG" if finding.problem else "ok":<6} {finding.path}: ', end='')
        print(finding.problem or finding.note, flush=True)
    if bad:
        sys.exit(f'{bad} of the files above are missing or broken; docs/data.md shows the layout')
    print('All files of the config exist.')


if __name__ == '__main__':
    main()
