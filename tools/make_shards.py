"""Packs pictures into WebDataset's tar shards, or counts what shards hold that are there already.

python tools/make_shards.py data/photos data/photo-shards --size 1000
python tools/make_shards.py --index data/photo-shards

A call that was killed is continued by the same call. SOURCE is a folder or a list file.
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
    """Reads the command line."""
    parser = argparse.ArgumentParser(description='Make tar shards of pictures.')
    parser.add_argument('source', nargs='?', help='folder of pictures, or list file')
    parser.add_argument('out', nargs='?', help='folder of the shards')
    parser.add_argument('--root', default='.', help='what the paths of a list are relative to')
    parser.add_argument('--size', type=int, default=1000, help='pictures of a shard')
    parser.add_argument('--seed', type=int, default=0, help='of the order of the pictures')
    parser.add_argument('--index', metavar='FOLDER', help='count the shards *.tar of a folder')
    args = parser.parse_args()
    if (args.index is None) != (args.out is not None):
        parser.error('give SOURCE and OUT, or --index FOLDER')
    return args


def main() -> None:
    """Writes or counts, and says how much there is."""
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
    pictures = sum(shard.pictures for shard in shards)
    print(f'{pictures} pictures in {len(shards)} shards of {args.index or args.out}')


if __name__ == '__main__':
    main()
