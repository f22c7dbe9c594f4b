"""Open the web page: python tools/web.py [CONFIG CHECKPOINT | NAME] [--port 7860]."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from clipself_mm import OpenVocabDetector, load_tower
from clipself_mm.detection.open_vocab_detector import SHIPPED
from clipself_mm.web import PageModels, serve, tower_of

TINY_CLIP = 'pkg:clipself_mm.shapes/tiny_clip'


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description='Detection and dense features in a web page.')
    parser.add_argument(
        'config',
        nargs='?',
        default=SHIPPED,
        help='config of an F-ViT, or a name of model-index.yml; default: the shipped detector',
    )
    parser.add_argument('checkpoint', nargs='?', help='its weights; default: those of the index')
    parser.add_argument(
        '--original',
        nargs='+',
        metavar=('MODEL', 'CHECKPOINT'),
        help="CLIP whose dense features stand beside those of the detector's tower, as in "
        'load_tower; default: for the shipped detector the CLIP it comes from, else none',
    )
    parser.add_argument('--host', default='127.0.0.1', help='0.0.0.0 lets other machines in')
    parser.add_argument('--port', type=int, default=7860, help='if taken, the next free one')
    parser.add_argument('--device', help='cpu, cuda:0, ...; by default the GPU if there is one')
    args = parser.parse_args()
    if args.original is None and args.config == SHIPPED:
        args.original = [TINY_CLIP]
    if args.original and len(args.original) > 2:
        parser.error('--original: expected MODEL or MODEL CHECKPOINT')
    return args


def main() -> None:
    """Serve the page until Ctrl-C; what is missing or invalid ends the tool with one sentence."""
    args = parse_args()
    try:
        detector = OpenVocabDetector(args.config, args.checkpoint, args.device)
        towers = {'Refined CLIP': tower_of(detector)}
        if args.original:
            original = load_tower(*args.original, device=args.device)
            towers = {'Original CLIP': original, **towers}
        serve(PageModels(detector, towers, args.config), args.host, args.port)
    except (ImportError, OSError, TypeError, ValueError) as error:
        sys.exit(f'error: {error}')


if __name__ == '__main__':
    main()
