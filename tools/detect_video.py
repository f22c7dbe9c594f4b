"""Detect and track objects in a video: tools/detect_video.py VIDEO [CONFIG CKPT] [--tracks]."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from clipself_mm.datasets import ImageReadError
from clipself_mm.detection.detector_options import (
    add_detector_options,
    add_score_option,
    load_detector,
    read_detector_options,
)
from clipself_mm.video import VideoFrames, VideoReadError, detect_video


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description='Detect objects in a video; writes OUT_DIR/NAME.mp4 with boxes and NAME.json.'
    )
    parser.add_argument('video', help='video file')
    add_detector_options(parser)
    parser.add_argument('--tracks', action='store_true', help='link the objects of the frames')
    parser.add_argument('--out-dir', default='work_dirs/detect_video', help='output folder')
    add_score_option(parser)
    args = parser.parse_args()
    read_detector_options(parser, args)
    return args


def main() -> None:
    """Detect; what cannot be read is told, a file that is no video in one sentence."""
    args = parse_args()
    try:
        VideoFrames(args.video).close()  # its errors come before the seconds of loading
        detector, _ = load_detector(args)
        done = detect_video(
            detector,
            args.video,
            args.out_dir,
            args.score_thr,
            args.batch_size,
            args.tracks,
            progress=partial(tqdm, disable=None),
        )
    except (ImageReadError, ImportError, OSError, TypeError, ValueError, VideoReadError) as error:
        sys.exit(f'error: {error}')
    except KeyboardInterrupt:
        sys.exit('interrupted: nothing was written')
    print(f'{done.video} ({done.codec}), {done.json}: {done.frames} frames')
    if done.complaint:
        print(f'WARNING: {args.video}: {done.complaint}')


if __name__ == '__main__':
    main()
