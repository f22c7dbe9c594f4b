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

from clipself_mm.detection import OpenVocabDetector
from clipself_mm.detection.open_vocab_detector import SHIPPED
from clipself_mm.labelling import (
    FORMATS,
    Journal,
    Records,
    label_images,
    open_source,
    read_thresholds,
    write_broken,
)
from clipself_mm.launch import end_with_parent
from clipself_mm.models import read_name_option


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description='Label images by a detector.')
    parser.add_argument(
        'input', help='folder of images and sub-folders, list file, or index.json of shards'
    )
    parser.add_argument(
        'config',
        nargs='?',
        default=SHIPPED,
        help='config of an F-ViT or a name of model-index.yml; default: the shipped detector',
    )
    parser.add_argument('checkpoint', nargs='?', help='its weights; default: those of the index')
    parser.add_argument(
        '--texts',
        action='append',
        help="class names separated by '.' or ',', or a .txt or .json file; given several times: "
        "one name each; default: the model's",
    )
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
    parser.add_argument('--device', help='cpu, cuda:0, ...; by default the GPU if there is one')
    parser.add_argument('--batch-size', type=int, default=8, help='images in a forward pass')
    parser.add_argument('--workers', type=int, default=2, help='processes that read images')
    args = parser.parse_args()
    if args.batch_size < 1 or args.workers < 0:
        parser.error('--batch-size is at least 1, --workers at least 0')
    args.texts = read_name_option(parser, '--texts', args.texts)
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
    detector = OpenVocabDetector(args.config, args.checkpoint, device)
    classes = args.texts or [*detector.model.classes]
    thresholds = read_thresholds(args.score_thr, classes)
    journal = Journal(args.out / 'journal')
    if is_main_process():
        print(f'{args.input}: {len(source):,} images', flush=True)
    with journal.lock() if is_main_process() else nullcontext():
        records = label_images(
            detector,
            source,
            thresholds,
            journal,
            args.batch_size,
            args.workers,
            partial(tqdm, disable=None),
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
    except (OSError, ValueError, TypeError, ImportError) as error:
        sys.exit(f'error: {error}')
    except KeyboardInterrupt:
        sys.exit('stopped; the same command continues')


if __name__ == '__main__':
    main()
