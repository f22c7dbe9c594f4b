"""Write a trained detector's weights as one file: python tools/export_detector.py CKPT OUT.

The file, of safetensors, has weights and class names, and no state of the optimizer.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from clipself_mm.detection.detector_file import DTYPES, export_detector


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description="Write a trained detector's weights as one file.")
    parser.add_argument('checkpoint', help="a training's checkpoint")
    parser.add_argument('out', help='.safetensors to write')
    parser.add_argument('--dtype', choices=DTYPES, default='float32', help='of the weights')
    return parser.parse_args()


def main() -> None:
    """Write the file; a checkpoint that is none ends the tool with one sentence."""
    args = parse_args()
    try:
        count = export_detector(args.checkpoint, args.out, args.dtype)
    except (OSError, ValueError) as error:
        sys.exit(f'error: {error}')
    size = Path(args.out).stat().st_size / 1e6
    print(f'{args.out}: {count:,} numbers in {args.dtype}, {size:.1f} MB')


if __name__ == '__main__':
    main()
