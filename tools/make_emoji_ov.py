"""Write the synthetic data set Emoji-OV in the layout of COCO; a complete data set is kept.

python tools/make_emoji_ov.py --out data/emoji_ov --train 600 --val 240

The font is that of the Debian package fonts-noto-color-emoji.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from clipself_mm.shapes import SceneSplits, export_scenes
from projects.emoji_ov.font import FONT
from projects.emoji_ov.scenes import emoji_ov


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--out', type=Path, default=Path('data/emoji_ov'))
    parser.add_argument('--train', type=int, default=SceneSplits.train, help='training images')
    parser.add_argument('--val', type=int, default=SceneSplits.val, help='validation images')
    parser.add_argument('--size', type=int, default=SceneSplits.size, help='side in pixels')
    parser.add_argument('--seed', type=int, default=SceneSplits.seed)
    parser.add_argument('--font', type=Path, default=FONT, help='NotoColorEmoji.ttf')
    parser.add_argument('--workers', type=int, default=min(4, os.cpu_count() or 1))
    return parser.parse_args()


def main() -> None:
    """Write the data set and print its path."""
    args = parse_args()
    spec = SceneSplits(train=args.train, val=args.val, size=args.size, seed=args.seed)
    try:
        scenes = emoji_ov(args.font)
    except (FileNotFoundError, ValueError) as error:
        sys.exit(str(error))
    written = export_scenes(args.out, spec, scenes, args.workers, progress=tqdm)
    state = 'written to' if written else 'already complete in'
    print(f'Emoji-OV ({spec.train} train, {spec.val} val, {spec.size} px) {state} {args.out}')


if __name__ == '__main__':
    main()
