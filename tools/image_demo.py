"""Draw detections: python tools/image_demo.py IMG [CONFIG CKPT] [--texts "red star. blue ring"]."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from clipself_mm.datasets import ImageReadError
from clipself_mm.datasets.input_images import list_inputs
from clipself_mm.detection.open_vocab_detector import SHIPPED, OpenVocabDetector
from clipself_mm.models import read_name_option


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description='Detect objects in images and draw them.')
    parser.add_argument('inputs', help='image, or folder of images and sub-folders')
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
    parser.add_argument(
        '--exemplars', help='folder with a sub-folder of crops per class (docs/exemplars.md)'
    )
    parser.add_argument(
        '--exemplar-weight',
        type=float,
        default=0.5,
        help='share of the crops in 0-1 for classes of --texts; other classes have no name',
    )
    parser.add_argument(
        '--negatives',
        action='append',
        help="names of other objects, as --texts, that are not drawn, or 'none'; default: the base "
        'classes of the training if all --texts are classes of its vocabulary',
    )
    parser.add_argument('--out-dir', default='work_dirs/image_demo', help='output folder')
    parser.add_argument('--device', help='cpu, cuda:0, ...; by default the GPU if there is one')
    parser.add_argument('--score-thr', type=float, default=0.3, help='lowest score to draw')
    args = parser.parse_args()
    args.texts = read_name_option(parser, '--texts', args.texts)
    if args.negatives == ['none']:
        args.negatives = []
    elif args.negatives is not None:
        args.negatives = read_name_option(parser, '--negatives', args.negatives)
    return args


def main() -> None:
    """Run the inferencer; an image that cannot be read ends the tool with one sentence."""
    args = parse_args()
    try:
        images = list_inputs(args.inputs, leave_out=os.path.join(args.out_dir, 'vis'))
        print(f'{args.inputs}: {len(images)} images')
        detector = OpenVocabDetector(args.config, args.checkpoint, args.device)
        chosen = detector.read_vocabulary(
            args.texts, args.exemplars, args.exemplar_weight, args.negatives
        )
        detector.model.set_vocabulary(*chosen)
    except (ImageReadError, OSError, TypeError, ValueError) as error:
        sys.exit(f'error: {error}')
    inferencer = detector.inferencer
    inferencer.show_progress = True
    try:
        inferencer(
            images,
            pred_score_thr=args.score_thr,
            out_dir=args.out_dir,
            no_save_pred=False,
        )
    except ImageReadError as error:
        sys.exit(f'error: {error}')
    print(f'Figures and predictions of {len(images)} images: {args.out_dir}')


if __name__ == '__main__':
    main()
