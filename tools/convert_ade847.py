"""Write label maps and class names of ADE20K-847 from the full ADE20K release (2021_17_01).

python tools/convert_ade847.py data/ADE20K_2021_17_01/index_ade20k.pkl --classes ade847_names.txt

Without --classes: all names that occur in both training and validation images; they must be 847.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from clipself_mm.datasets import load_vocabulary
from projects.ade847.labels import convert_ade847, read_index, shared_names


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description='Convert ADE20K-847.')
    parser.add_argument('index', help='index_ade20k.pkl, in the folder of the release')
    parser.add_argument('--classes', help='.txt (one name per line) or .json of the 847 names')
    parser.add_argument('--out', help='output folder; default: the folder of the index')
    parser.add_argument('--split', choices=['validation', 'training'], default='validation')
    return parser.parse_args()


def main() -> None:
    """Convert and print the number of label maps."""
    args = parse_args()
    out = args.out or Path(args.index).parent
    try:
        index = read_index(args.index)
        names = load_vocabulary(args.classes).classes if args.classes else shared_names(index)
        count = convert_ade847(index, names, out, args.split, tqdm)
    except (OSError, RuntimeError, ValueError) as error:
        sys.exit(f'error: {error}')
    print(f'wrote {count} label maps and {len(names)} class names to {out}')


if __name__ == '__main__':
    main()
