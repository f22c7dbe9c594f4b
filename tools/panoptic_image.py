"""Panoptic segmentation of an image: tools/panoptic_image.py IMG CONFIG [--things "cat. dog"]."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from mmdet.apis import inference_detector
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from mmengine.runner import load_checkpoint
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from clipself_mm.datasets.input_images import read_image_argument
from clipself_mm.launch import replace_tower
from clipself_mm.model_index import config_file
from clipself_mm.models import read_name_option
from clipself_mm.visualization import draw_panoptic


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description='Segment an image into things and stuff.')
    parser.add_argument('image', help='image file')
    parser.add_argument(
        'config', type=config_file, help='config of a FusedPanopticSegmentor or TextMask2Former'
    )
    parser.add_argument('checkpoint', nargs='?', help='trained weights of a TextMask2Former')
    parser.add_argument(
        '--tower', help='weights (FILE) or CLIP (local-dir:FOLDER) to replace those of the config'
    )
    parser.add_argument(
        '--things',
        action='append',
        help="countable classes separated by '.' or ',', or a .txt or .json file; given several "
        "times: one name each; replaces the config's",
    )
    parser.add_argument('--stuff', action='append', help='other classes, used with --things')
    parser.add_argument(
        '--score', choices=('fused', 'clip', 'pred'), help="test_cfg.score; default: the config's"
    )
    parser.add_argument('--out', default='work_dirs/panoptic_image.png', help='output file')
    parser.add_argument('--opacity', type=float, default=0.6, help='weight of the colours, 0-1')
    parser.add_argument('--device', default='cpu', help='cpu, cuda:0, ...')
    args = parser.parse_args()
    args.things = read_name_option(parser, '--things', args.things)
    args.stuff = read_name_option(parser, '--stuff', args.stuff)
    return args


def read_config(args: argparse.Namespace) -> Config:
    """Read the config and apply the options of the command line."""
    config = Config.fromfile(args.config)
    if args.tower is not None:
        replace_tower(config, args.tower)
    if args.score is not None:
        if config.model.type != 'FusedPanopticSegmentor':
            raise SystemExit(
                f'--score: expected a FusedPanopticSegmentor, got a {config.model.type}'
            )
        config.model.test_cfg.score = args.score
    config.model.test_cfg.update(instance_on=False, semantic_on=False)
    return config


def main() -> None:
    """Build the model, predict, draw."""
    args = parse_args()
    config = read_config(args)
    pixels = read_image_argument(args.image)
    init_default_scope(config.default_scope)
    model = MODELS.build(config.model)
    if args.checkpoint is not None:
        load_checkpoint(model, args.checkpoint, map_location='cpu')
    model.cfg = config  # inference_detector reads the pipeline from here
    model.to(args.device).eval()
    if args.things is not None or args.stuff is not None:
        model.set_vocabulary(dict(things=args.things or (), stuff=args.stuff or ()))
    found = inference_detector(model, pixels[..., ::-1].copy())
    segments = found.pred_panoptic_seg.sem_seg[0].cpu().numpy()
    Path(args.out).parent.mkdir(parents=True, exist_ok=True)
    draw_panoptic(Image.fromarray(pixels), segments, model.classes, args.opacity).save(args.out)
    print(args.out)


if __name__ == '__main__':
    main()
