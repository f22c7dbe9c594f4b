"""Write a trained detector for others: python tools/export_detector.py CKPT OUT.

OUT.safetensors is a file of weights and class names, with its card OUT.md. Another OUT is a folder
with weights, config, CLIP and card (README.md), ready for the Hugging Face hub.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from clipself_mm.detection.detector_file import DTYPES, WEIGHTS, export_detector, export_folder
from clipself_mm.model_index import config_file


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description='Write a trained detector for others.')
    parser.add_argument('checkpoint', help="a training's checkpoint")
    parser.add_argument('out', help='.safetensors file, or folder, to write')
    parser.add_argument('--dtype', choices=DTYPES, default='float32', help='of the weights')
    parser.add_argument(
        '--config', type=config_file, help='of a folder; default: the config in the checkpoint'
    )
    return parser.parse_args()


def main() -> None:
    """Write the file; a checkpoint that is none ends the tool with one sentence."""
    args = parse_args()
    out = Path(args.out)
    try:
        if out.suffix:
            count = export_detector(args.checkpoint, out, args.dtype)
        else:
            count = export_folder(args.checkpoint, out, args.dtype, args.config)
            out = out / WEIGHTS
    except (OSError, ValueError) as error:
        sys.exit(f'error: {error}')
    size = out.stat().st_size / 1e6
    print(f'{out}: {count:,} numbers in {args.dtype}, {size:.1f} MB')


if __name__ == '__main__':
    main()
