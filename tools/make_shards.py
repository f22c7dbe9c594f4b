"""Pack images into WebDataset's tar shards, or write the index of existing shards.

python tools/make_shards.py data/photos data/photo-shards --size 1000
python tools/make_shards.py --index data/photo-shards

SOURCE is a folder or a list file. The same call continues a killed one.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from clipself_mm.datasets.annotations.image_listing import read_listing, scan_images
from clipself_mm.datasets.sharded.index import index_folder
from clipself_mm.datasets.sharded.writing import write_shards


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description='Make tar shards of images.')
    parser.add_argument('source', nargs='?', help='folder of images, or list file')
    parser.add_argument('out', nargs='?', help='folder of the shards')
    parser.add_argument('--root', default='.', help='root of the paths of a list file')
    parser.add_argument('--size', type=int, default=1000, help='number of images per shard')
    parser.add_argument('--seed', type=int, default=0, help='seed of the order of the images')
    parser.add_argument('--index', metavar='FOLDER', help='write the index of the *.tar in FOLDER')
    args = parser.parse_args()
    if (args.index is None) != (args.out is not None):
        parser.error('give SOURCE and OUT, or --index FOLDER')
    return args


def main() -> None:
    """Write shards or their index, and print the numbers of images and shards."""
    args = parse_args()
    try:
        if args.index is not None:
            shards = index_folder(args.index, progress=tqdm)
        elif os.path.isdir(args.source):
            names = scan_images(args.source, progress=tqdm)
            shards = write_shards(args.source, names, args.out, args.size, args.seed, tqdm)
        else:
            names = read_listing(args.source)
            shards = write_shards(args.root, names, args.out, args.size, args.seed, tqdm)
    except (OSError, ValueError, ImportError) as error:
        sys.exit(f'error: {error}')
    images = sum(shard.images for shard in shards)
    print(f'{images} images in {len(shards)} shards of {args.index or args.out}')


if __name__ == '__main__':
    main()
