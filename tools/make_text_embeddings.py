r"""Write the class embeddings of a vocabulary with a CLIP's text tower.

python tools/make_text_embeddings.py ov_coco --model EVA02-B-16 \
    --checkpoint checkpoints/EVA02_CLIP_B_psz16_s8B.pt --out embeddings/ov_coco_eva02-b16.pt
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from clipself_mm.clip import TextTower
from clipself_mm.clip.class_embeddings import save_class_embeddings
from clipself_mm.datasets import load_vocabulary


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description='Write the class embeddings of a vocabulary.')
    parser.add_argument('vocabulary', help='name (ov_coco, ...) or a .json or .txt file')
    parser.add_argument(
        '--model', required=True, help='open_clip name, local-dir:FOLDER or pkg:PACKAGE/FOLDER'
    )
    parser.add_argument('--checkpoint', help='weights; a folder brings its own')
    parser.add_argument('--out', required=True, help='.pt dictionary of class name to vector')
    parser.add_argument(
        '--no-background',
        dest='background',
        action='store_false',
        help='leave out "background", which detectors read as one class more',
    )
    parser.add_argument('--device', default='cpu')
    return parser.parse_args()


def main() -> None:
    """Encode, write, say where."""
    args = parse_args()
    classes = list(load_vocabulary(args.vocabulary).classes)
    if args.background and 'background' not in classes:
        classes.append('background')
    tower = TextTower(args.model, args.checkpoint).to(args.device)
    save_class_embeddings(args.out, classes, tower.embed_classes(classes))
    print(f'{len(classes)} class embeddings of {args.model} written to {args.out}')


if __name__ == '__main__':
    main()
