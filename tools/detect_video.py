"""Detect and track objects in a video: tools/detect_video.py VIDEO [CONFIG CKPT] [--tracks]."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from clipself_mm.detection.open_vocab_detector import SHIPPED, OpenVocabDetector
from clipself_mm.models import read_name_option
from clipself_mm.video import VideoFrames, VideoReadError, detect_video


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description='Detect objects in a video; writes OUT_DIR/NAME.mp4 with boxes and NAME.json.'
    )
    parser.add_argument('video', help='video file')
    parser.add_argument(
        'config',
        nargs='?',
        default=SHIPPED,
        help='config of an F-ViT, or name in model-index.yml; default: %(default)s',
    )
    parser.add_argument(
        'checkpoint', nargs='?', help='its trained weights; default: those of the index'
    )
    parser.add_argument(
        '--texts',
        action='append',
        help="class names separated by '.' or ',', or a .txt or .json file; given several times: "
        "one name each; default: the config's",
    )
    parser.add_argument('--tracks', action='store_true', help='link the objects of the frames')
    parser.add_argument('--out-dir', default='work_dirs/detect_video', help='output folder')
    parser.add_argument('--device', help='cpu, cuda:0, ...; by default the GPU if there is one')
    parser.add_argument('--score-thr', type=float, default=0.3, help='lowest score to draw')
    parser.add_argument('--batch-size', type=int, default=1, help='frames in a forward pass')
    args = parser.parse_args()
    if args.batch_size < 1:
        parser.error(f'--batch-size: expected at least 1, got {args.batch_size}')
    args.texts = read_name_option(parser, '--texts', args.texts)
    return args


def main() -> None:
    """Detect; what cannot be read is told, a file that is no video in one sentence."""
    args = parse_args()
    try:
        VideoFrames(args.video).close()  # its errors come before the seconds of loading
        detector = OpenVocabDetector(args.config, args.checkpoint, args.device)
        if args.texts is not None:
            detector.model.set_vocabulary(args.texts)
        done = detect_video(
            detector,
            args.video,
            args.out_dir,
            args.score_thr,
            args.batch_size,
            args.tracks,
            progress=partial(tqdm, disable=None),
        )
    except (ImportError, OSError, TypeError, ValueError, VideoReadError) as error:
        sys.exit(f'error: {error}')
    except KeyboardInterrupt:
        sys.exit('interrupted: nothing was written')
    print(f'{done.video} ({done.codec}), {done.json}: {done.frames} frames')
    if done.complaint:
        print(f'WARNING: {args.video}: {done.complaint}')


if __name__ == '__main__':
    main()
