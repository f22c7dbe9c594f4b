"""Draw detections: python tools/image_demo.py IMG [CONFIG CKPT] [--texts "red star. blue ring"]."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from clipself_mm.datasets import ImageReadError
from clipself_mm.datasets.input_images import list_inputs
from clipself_mm.detection.detector_options import (
    add_detector_options,
    add_score_option,
    load_detector,
    read_detector_options,
)


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description='Detect objects in images and draw them.')
    parser.add_argument('inputs', help='image, or folder of images and sub-folders')
    add_detector_options(parser)
    parser.add_argument('--out-dir', default='work_dirs/image_demo', help='output folder')
    add_score_option(parser)
    args = parser.parse_args()
    read_detector_options(parser, args)
    return args


def main() -> None:
    """Run the inferencer; an image that cannot be read ends the tool with one sentence."""
    args = parse_args()
    try:
        images = list_inputs(args.inputs, leave_out=os.path.join(args.out_dir, 'vis'))
        print(f'{args.inputs}: {len(images)} images')
        detector, _ = load_detector(args)
        detector.inferencer.show_progress = True
        detector.inferencer(
            images,
            batch_size=args.batch_size,
            pred_score_thr=args.score_thr,
            out_dir=args.out_dir,
            no_save_pred=False,
        )
    except (ImageReadError, OSError, TypeError, ValueError) as error:
        sys.exit(f'error: {error}')
    print(f'Figures and predictions of {len(images)} images: {args.out_dir}')


if __name__ == '__main__':
    main()
