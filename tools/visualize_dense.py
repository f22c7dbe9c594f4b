r"""Draw k-means clusters of dense features, as in Figure 4 of the paper.

python tools/visualize_dense.py IMAGE.jpg --model EVA02-B-16 --size 1024 --out dense.png \
    --checkpoint original=eva02_b16.pt --checkpoint CLIPSelf=clipself_eva02_b16.pt
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from PIL import Image, ImageOps

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from clipself_mm.clip import build_tower
from clipself_mm.visualization import draw_dense_clusters


def labelled(text: str) -> tuple[str, str | None]:
    """Split LABEL=PATH; without PATH the weights of the model."""
    label, equals, path = text.partition('=')
    if not label or not equals:
        raise argparse.ArgumentTypeError(f'expected LABEL=PATH or LABEL=, got {text!r}')
    return label, path or None


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description='Draw k-means clusters of dense features.')
    parser.add_argument('images', nargs='+', help='image files, one per column')
    parser.add_argument(
        '--model', required=True, help='open_clip name, local-dir:FOLDER or pkg:PACKAGE/FOLDER'
    )
    parser.add_argument(
        '--checkpoint',
        action='append',
        type=labelled,
        metavar='LABEL=PATH',
        help='weights of one row, may be repeated; LABEL= for the weights of --model',
    )
    parser.add_argument('--size', type=int, default=1024, help='longest side of the input, pixels')
    parser.add_argument('--clusters', type=int, default=8, help='clusters per image')
    parser.add_argument('--seed', type=int, default=0, help='seed of the clustering')
    parser.add_argument('--out', default='dense_clusters.png', help='output file')
    return parser.parse_args()


def main() -> None:
    """Write the figure and print its path."""
    args = parse_args()
    given = args.checkpoint or [('original', None)]
    rows = dict(given)
    if len(rows) < len(given):
        sys.exit(f'--checkpoint: expected different labels, got {[label for label, _ in given]}')
    towers = {label: build_tower(args.model, path) for label, path in rows.items()}
    images = [ImageOps.exif_transpose(Image.open(path)) for path in args.images]
    panel = draw_dense_clusters(images, towers, args.size, args.clusters, args.seed)
    Path(args.out).parent.mkdir(parents=True, exist_ok=True)
    panel.save(args.out)
    print(args.out)


if __name__ == '__main__':
    main()
