"""Convert the weights of a released detector to the key names of this package.

python tools/convert_detector.py fvit_eva02-b16_ov-coco.pth checkpoints/fvit.pth --fits CONFIG
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import clipself_mm  # noqa: F401 - registers the types of configs
from clipself_mm.datasets import load_vocabulary
from clipself_mm.detection.released_checkpoints import (
    check_fit,
    read_detector,
    save_detector,
    save_embeddings,
)
from clipself_mm.model_index import config_file


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description='Convert a released detector.')
    parser.add_argument('source', help='.pth of F-ViT (mmdet 2) or F-VLM (CLIM)')
    parser.add_argument('target', help='file to write')
    parser.add_argument(
        '--fits', metavar='CONFIG', type=config_file, help='config to check the weights against'
    )
    parser.add_argument(
        '--embeddings', metavar='OUT', help='write its class embeddings to this file'
    )
    parser.add_argument('--vocabulary', help='vocabulary of the class embeddings')
    return parser.parse_args()


def main() -> None:
    """Convert, check, write and list the dropped keys."""
    args = parse_args()
    detector = read_detector(args.source)
    classes = check_fit(detector, args.fits) if args.fits else ()
    if args.embeddings:
        names = load_vocabulary(args.vocabulary).classes if args.vocabulary else None
        save_embeddings(detector, args.embeddings, names)
    save_detector(detector, args.target, classes)
    for reason, names in detector.dropped.items():
        print(f'dropped {len(names)} ({reason}): {", ".join(names)}')
    if any(key.startswith('backbone.tower.visual.transformer.') for key in detector.state):
        print(
            f'{args.source}: the activation cannot be told from this file; the model of the tower '
            'in the config decides (OpenAI: -quickgelu)'
        )
    print(f'{len(detector.state)} tensors written to {args.target}')


if __name__ == '__main__':
    main()
