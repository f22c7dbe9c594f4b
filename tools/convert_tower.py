r"""Convert a CLIP, or the tower of a run or a detector, to another format.

python tools/convert_tower.py work_dirs/RUN/tower refined.pt --to authors
python tools/convert_tower.py theirs.pt checkpoints/refined --to open_clip --model EVA02-B-16
python tools/convert_tower.py work_dirs/RUN/tower dense_640.onnx --to onnx --size 640 640
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from clipself_mm.clip.export.conversion import TARGETS, convert_tower


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description='Convert a CLIP between formats.')
    parser.add_argument('source', help='file, folder, hf-hub:NAME, or a pretrained tag of --model')
    parser.add_argument('target', type=Path, help='folder, or .pt or .onnx file')
    parser.add_argument('--to', required=True, choices=TARGETS)
    parser.add_argument('--model', help='open_clip name or local-dir:FOLDER of a file or tag')
    parser.add_argument('--text-from', metavar='FILE', help='CLIP whose text tower is added')
    parser.add_argument(
        '--size',
        type=int,
        nargs=2,
        metavar=('H', 'W'),
        help='input size in pixels for ONNX',
    )
    parser.add_argument(
        '--trust-pickle', action='store_true', help='EXECUTE code in the source file'
    )
    return parser.parse_args()


def main() -> None:
    """Convert and report what was read and written."""
    args = parse_args()
    try:
        lines = convert_tower(
            args.source,
            args.target,
            args.to,
            model=args.model,
            text_from=args.text_from,
            size=args.size and tuple(args.size),
            trust_pickle=args.trust_pickle,
        )
    except (ValueError, FileNotFoundError, ImportError, NotImplementedError) as error:
        sys.exit(str(error))
    print('\n'.join(lines))


if __name__ == '__main__':
    main()
