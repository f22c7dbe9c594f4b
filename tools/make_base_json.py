"""Write the json of open-vocabulary training, with the boxes of base classes only.

python tools/make_base_json.py data/coco/annotations/instances_train2017.json \
    data/coco/annotations/instances_train2017_base.json --vocabulary ov_coco --drop-empty

`OpenVocabCocoDataset(base_only=True)` does the same while loading; the file is for other programs.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from clipself_mm.datasets.annotations.categories import keep_base
from clipself_mm.datasets.annotations.coco_json import load_instances
from clipself_mm.datasets.annotations.vocabulary import load_vocabulary
from clipself_mm.io.atomic_write import save_json


def main() -> None:
    """Filter the annotations and print the numbers of images and boxes."""
    parser = argparse.ArgumentParser(description='Keep the boxes of base classes only.')
    parser.add_argument('src', help='COCO instances json or LVIS json')
    parser.add_argument('dst', help='json to write')
    parser.add_argument('--vocabulary', required=True, help='name (ov_coco, ov_lvis) or file')
    parser.add_argument('--drop-empty', action='store_true', help='drop images without a base box')
    args = parser.parse_args()
    if Path(args.dst).resolve() == Path(args.src).resolve():
        parser.error(f'{args.dst} is the input file too: give another path')

    try:
        vocabulary = load_vocabulary(args.vocabulary)
        content = load_instances(args.src)
        kept = keep_base(content, vocabulary, args.src, args.drop_empty)
        save_json(kept, args.dst)
    except (OSError, ValueError) as error:
        sys.exit(f'error: {error}')
    for key, what in (('images', 'images'), ('annotations', 'boxes')):
        print(f'{what:<6} {len(kept[key])} of {len(content[key])}')
    print(f'wrote {args.dst}')


if __name__ == '__main__':
    main()
