r"""Draw the accuracies of several towers against the input size in one figure.

python tools/plot_region_accuracy.py original=work_dirs/a/accuracy.csv \
    CLIPSelf=work_dirs/b/accuracy.csv --out figure_a1.png
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from projects.size_sweep.accuracy import draw_accuracy_by_size, read_accuracy


def labelled(text: str) -> tuple[str, str]:
    """Split LABEL=PATH; the default label is the name of the file's folder."""
    label, equals, path = text.partition('=')
    if not equals or Path(text).is_file():  # a path may hold an equals sign
        return Path(text).resolve().parent.name, text
    return label, path


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description='Draw accuracy over input size.')
    parser.add_argument(
        'tables',
        nargs='+',
        type=labelled,
        metavar='[LABEL=]FILE.csv',
        help='files of tools/region_accuracy_by_size.py',
    )
    parser.add_argument('--out', type=Path, default=Path('accuracy.png'), help='output file')
    return parser.parse_args()


def main() -> None:
    """Write the figure and print its path."""
    args = parse_args()
    labels = [label for label, _ in args.tables]
    if len(set(labels)) != len(labels):
        raise SystemExit(f'expected different labels (LABEL=FILE), got {labels}')
    tables = {label: read_accuracy(path) for label, path in args.tables}
    args.out.parent.mkdir(parents=True, exist_ok=True)
    draw_accuracy_by_size(tables).savefig(args.out, dpi=100)
    print(args.out)


if __name__ == '__main__':
    main()
