"""Write the list file of a folder's images, so that `UnlabelledImages` need not search the folder.

python tools/list_images.py data/photos data/photos.txt --relative-to data
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from clipself_mm.datasets.annotations.image_listing import EXTENSIONS, scan_images, write_listing


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description='List the images of a folder.')
    parser.add_argument('folder', help='folder, searched recursively')
    parser.add_argument('out', help='list file to write, one path per line')
    parser.add_argument(
        '--relative-to', help="root of the paths, the config's data_root; default: FOLDER"
    )
    parser.add_argument(
        '--extensions', nargs='+', default=EXTENSIONS, help='file extensions, such as .jpg .png'
    )
    return parser.parse_args()


def main() -> None:
    """Search the folder, write the list and print the number of images."""
    args = parse_args()
    try:
        names = scan_images(args.folder, args.extensions, tqdm)
        if args.relative_to is not None:
            prefix = Path(os.path.relpath(args.folder, args.relative_to)).as_posix()
            names = [f'{prefix}/{name}' for name in names]
        write_listing(names, args.out)
    except (OSError, ValueError) as error:
        sys.exit(f'error: {error}')
    print(f'wrote {len(names)} paths of images to {args.out}')


if __name__ == '__main__':
    main()
