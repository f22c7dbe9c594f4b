"""Measure tables of the paper beside its numbers: python tools/reproduce.py 1a --shapes.

A run that is there already is not made again, and one that was killed goes on: give the same
command once more. What is measured is added to OUT/table_NAME.csv, OUT/table_NAME.md shows it.
"""

from __future__ import annotations

import argparse
import signal
import sys
from importlib.util import find_spec
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from projects import reproduce


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    in_miniature = {**reproduce.SEGMENTATION_TABLES, **reproduce.BEYOND_TABLES}
    parser.add_argument(
        'tables',
        nargs='+',
        choices=['all', *reproduce.TABLES, *in_miniature],
        help=f'all: {", ".join(reproduce.TABLES)}',
    )
    parser.add_argument('--shapes', action='store_true', help='in miniature, on a CPU')
    parser.add_argument('--seeds', nargs='+', type=int, default=[0])
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/reproduce'))
    parser.add_argument('--data-root', type=Path, help='default: data/shapes_ov or data/coco')
    parser.add_argument('--epochs', type=int, help='cut every training to so many')
    parser.add_argument('--jobs', type=int, default=1, help='runs at a time (with --shapes)')
    parser.add_argument('--gpus', type=int, help='of a run, 8 by default (without --shapes)')
    parser.add_argument(
        '--proposals', type=Path, help='json of proposals to take in place of an own RPN'
    )
    parser.add_argument(
        '--teacher-cache',
        type=Path,
        help='folder on a local disk: a crop is encoded once for all runs (extra [cache])',
    )
    parser.add_argument('--out', type=Path, default=Path('docs/results'), help='of the tables')
    parser.add_argument(
        '--skip-recorded',
        action='store_true',
        help='do not measure again what the tables in --out hold, of another machine say',
    )
    parser.add_argument('--dry-run', action='store_true', help='print the commands only')
    args = parser.parse_args()
    if args.jobs > 1 and not args.shapes:
        parser.error('--jobs shares the cores of a CPU: it needs --shapes')
    if not args.shapes and (found := in_miniature.keys() & set(args.tables)):
        parser.error(f'{", ".join(sorted(found))}: measured with --shapes only')
    counted = reproduce.SEGMENTATION_TABLES.keys() & set(args.tables)
    if args.epochs is not None and counted:
        parser.error(f'--epochs: trainings of {", ".join(sorted(counted))} count iterations')
    if args.gpus is not None and args.shapes:
        parser.error('--gpus: the runs of --shapes are for a CPU')
    if args.teacher_cache is not None and find_spec('lmdb') is None:
        parser.error('--teacher-cache needs lmdb: pip install "clipself_mm[cache]"')
    return args


def main() -> int:
    """Make the runs and write the tables; 1 if a run has failed."""
    args = parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    data_root = args.data_root or Path('data', 'shapes_ov' if args.shapes else 'coco')
    places = Path(__file__).resolve().parents[1], args.work_dir.resolve(), data_root.resolve()
    cache = args.teacher_cache and args.teacher_cache.resolve()
    if args.shapes:
        data = reproduce.prepare_shapes(data_root, write=not args.dry_run)
        context = reproduce.RunContext(*places, data, args.epochs, teacher_cache=cache)
    else:
        context = reproduce.RunContext(
            *places, 'COCO', args.epochs, args.gpus or 8, amp=True, teacher_cache=cache
        )
    suite_type = reproduce.ShapesSuite if args.shapes else reproduce.CocoSuite
    given = None
    if args.proposals is not None:
        given = reproduce.read_given_proposals(args.proposals, data_root / suite_type.train_images)
    suite = suite_type(given)
    names = reproduce.TABLES if 'all' in args.tables else dict.fromkeys(args.tables)
    makers = {**reproduce.TABLES, **reproduce.SEGMENTATION_TABLES}
    if missing := reproduce.missing_data(data_root.resolve(), names):
        sys.exit('data sets are missing; make them by\n' + '\n'.join(missing))
    tables = [
        makers[name](suite)
        if name in makers
        else reproduce.BEYOND_TABLES[name](places[0], data_root.resolve())
        for name in names
    ]
    out = args.out.resolve()
    recorded = out if args.skip_recorded else None
    work = reproduce.Reproduction(tables, args.seeds, context, args.jobs, recorded=recorded)
    if args.dry_run:
        print('\n'.join(work.commands()))
    return 0 if args.dry_run or work.execute(out) else 1


if __name__ == '__main__':
    sys.exit(main())
