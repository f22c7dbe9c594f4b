"""Convert the proposals of any detector to the json that CLIPSelf's region training reads.

python tools/convert_proposals.py data/coco/proposals/rpn-r50_train2017.pkl \
    --ann-file data/coco/annotations/instances_train2017.json \
    --out data/coco/annotations/rpn-r50_proposals.json --score-thr 0.3 --max-per-img 20

SRC is a pickle of mmdet's `DumpProposals`, a json of COCO results, or a COCO-style json with boxes.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from clipself_mm.datasets.proposals.conversion import ProposalSelection, convert_proposals


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description='Convert region proposals.')
    parser.add_argument('src', help='.pkl of DumpProposals, or .json')
    parser.add_argument('--ann-file', required=True, help='COCO-style or LVIS-style json')
    parser.add_argument('--out', required=True, help='json to write')
    parser.add_argument('--score-thr', type=float, default=0.0, help='minimum score')
    parser.add_argument('--nms-iou', type=float, help='IoU threshold of NMS; default: no NMS')
    parser.add_argument('--max-per-img', type=int, default=100, help='keep the best N per image')
    parser.add_argument(
        '--min-size', type=float, default=0.0, help='square root of the minimum area, in pixels'
    )
    args = parser.parse_args()
    if Path(args.out).resolve() in (Path(args.src).resolve(), Path(args.ann_file).resolve()):
        parser.error(f'{args.out} is an input file too: give another --out')
    return args


def main() -> None:
    """Convert, and print the numbers of images and proposals."""
    args = parse_args()
    try:
        selection = ProposalSelection(args.score_thr, args.nms_iou, args.max_per_img, args.min_size)
        count = convert_proposals(args.src, args.ann_file, args.out, selection, tqdm)
    except (OSError, ValueError) as error:
        sys.exit(f'error: {error}')
    print(f'proposals {count.kept} of {count.read}')
    print(f'images    {count.filled} of {count.images} have any')
    if count.missing:
        print(f'left out  {len(count.missing)} images not in {args.ann_file}: ', end='')
        print(', '.join(count.missing[:3]))
    print(f'wrote {args.out}')


if __name__ == '__main__':
    main()
