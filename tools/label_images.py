r"""Label a folder of images by a detector, for an annotation tool or a training.

    python tools/label_images.py photos --texts "mug. kettle" --out labels --format coco
    torchrun --nproc_per_node 8 tools/label_images.py photos CONFIG CHECKPOINT ...

The same call continues a stopped one.
"""

from __future__ import annotations

import argparse
import atexit
import datetime
import os
import sys
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import torch
from mmengine.dist import is_main_process
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from clipself_mm.datasets import ImageReadError
from clipself_mm.detection.detector_options import (
    add_detector_options,
    load_detector,
    read_detector_options,
)
from clipself_mm.labelling import (
    FORMATS,
    Journal,
    Records,
    claim_outputs,
    label_images,
    open_source,
    read_thresholds,
    write_broken,
)
from clipself_mm.launch import end_with_parent


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description='Label images by a detector.')
    parser.add_argument(
        'input', help='folder of images and sub-folders, list file, or index.json of shards'
    )
    add_detector_options(parser, batch_size=8)
    parser.add_argument('--out', type=Path, required=True, help='output folder')
    parser.add_argument('--format', choices=[*FORMATS], default='coco', help='of the labels')
    parser.add_argument(
        '--score-thr',
        action='append',
        default=[],
        help='least score: 0.3 (default), "NAME=0.5" for one class, or a .json file of names and '
        'numbers; may be given several times',
    )
    parser.add_argument('--root', default='.', help='root of the paths of a list file')
    parser.add_argument('--workers', type=int, default=2, help='processes that read images')
    args = parser.parse_args()
    if args.workers < 0:
        parser.error(f'--workers: expected at least 0, got {args.workers}')
    read_detector_options(parser, args)
    return args


def join_processes() -> None:
    """Under torchrun, join its processes; they exchange a few objects only, so by gloo."""
    if not {'RANK', 'WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT'} <= {*os.environ}:
        return
    end_with_parent()
    # The main process waits for the last one, however much longer that takes.
    torch.distributed.init_process_group('gloo', timeout=datetime.timedelta(days=30))
    atexit.register(torch.distributed.destroy_process_group)


def label(args: argparse.Namespace) -> None:
    """Detect, write the files, print where they are."""
    source = open_source(args.input, args.root, leave_out=str(args.out))
    device = args.device
    if device is None and torch.cuda.is_available():
        device = f'cuda:{os.environ.get("LOCAL_RANK", 0)}'
    detector, vocabulary = load_detector(args, device)
    classes = [*detector.model.classes]
    thresholds = read_thresholds(args.score_thr, classes)
    journal = Journal(args.out / 'journal')
    with journal.lock() if is_main_process() else nullcontext():
        if is_main_process():
            print(f'{args.input}: {len(source):,} images', flush=True)
            claim_outputs(args.format, args.out, journal.folder)
        records = label_images(
            detector,
            source,
            thresholds,
            journal,
            args.batch_size,
            args.workers,
            partial(tqdm, disable=None),
            vocabulary,
        )
        if records is not None:
            write_files(records, classes, args, source.root)


def write_files(
    records: Records, classes: list[str], args: argparse.Namespace, root: str | None
) -> None:
    """Write the files and print the closing line.

    Raises:
        ValueError: No image could be read.
    """
    broken = write_broken(records, args.out)
    if not len(records):
        raise ValueError(
            f'{args.input}: none of the {len(broken)} images can be read, the first: '
            f'{broken[0].name}: {broken[0].broken}'
        )
    objects = [len(image.labels) for image in records]
    path = FORMATS[args.format](records, classes, args.out, root)
    skipped = f', {len(broken):,} broken ({args.out / "broken.txt"})' if broken else ''
    print(
        f'{len(records):,} images with {sum(objects):,} objects, {objects.count(0):,} of them '
        f'without any{skipped}: {path}'
    )


def main() -> None:
    """Label the images; what is wrong ends the tool with one sentence."""
    args = parse_args()
    join_processes()
    try:
        label(args)
    except (ImageReadError, OSError, ValueError, TypeError, ImportError) as error:
        sys.exit(f'error: {error}')
    except KeyboardInterrupt:
        sys.exit('stopped; the same command continues')


if __name__ == '__main__':
    main()
