"""Write the synthetic benchmark Shapes-OV in the layout of COCO; a complete data set is kept.

python tools/make_shapes_ov.py --out data/shapes_ov --train 600 --val 240
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from clipself_mm.shapes.export import ShapesOV, export_shapes_ov


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--out', type=Path, default=Path('data/shapes_ov'))
    parser.add_argument('--train', type=int, default=ShapesOV.train, help='training images')
    parser.add_argument('--val', type=int, default=ShapesOV.val, help='validation images')
    parser.add_argument('--size', type=int, default=ShapesOV.size, help='side in pixels')
    parser.add_argument('--seed', type=int, default=ShapesOV.seed)
    parser.add_argument('--workers', type=int, default=min(4, os.cpu_count() or 1))
    return parser.parse_args()


def main() -> None:
    """Write the data set and print its path."""
    args = parse_args()
    spec = ShapesOV(train=args.train, val=args.val, size=args.size, seed=args.seed)
    written = export_shapes_ov(args.out, spec, args.workers, progress=tqdm)
    state = 'written to' if written else 'already complete in'
    print(f'Shapes-OV ({spec.train} train, {spec.val} val, {spec.size} px) {state} {args.out}')


if __name__ == '__main__':
    main()
