"""Draws the segments of an image: tools/panoptic_image.py IMG CONFIG [--things "cat. dog"]."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np
from mmdet.apis import inference_detector
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from mmengine.runner import load_checkpoint
from PIL import Image, ImageOps

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from clipself_mm.launch import replace_tower
from clipself_mm.models import read_names
from clipself_mm.visualization import draw_panoptic


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description='Segment an image into things and stuff.')
    parser.add_argument('image', help='picture')
    parser.add_argument('config', help='config of a FusedPanopticSegmentor or TextMask2Former')
    parser.add_argument('checkpoint', nargs='?', help='trained weights, for a TextMask2Former')
    parser.add_argument(
        '--tower', help='weights (FILE) or CLIP (local-dir:FOLDER) instead of the config model'
    )
    parser.add_argument('--things', help="countable classes, separated by points, not the config's")
    parser.add_argument('--stuff', help='other classes, separated by points; goes with --things')
    parser.add_argument('--score', choices=('fused', 'clip', 'pred'), help="not the config's")
    parser.add_argument('--out', default='work_dirs/panoptic_image.png', help='picture to write')
    parser.add_argument('--opacity', type=float, default=0.6, help='share of the colours, 0-1')
    parser.add_argument('--device', default='cpu', help='cpu, cuda:0, ...')
    return parser.parse_args()


def read_config(args: argparse.Namespace) -> Config:
    """The config with what the command line changes of it."""
    config = Config.fromfile(args.config)
    if args.tower is not None:
        replace_tower(config, args.tower)
    if args.score is not None:
        if config.model.type != 'FusedPanopticSegmentor':
            raise SystemExit(f'--score: a {config.model.type} has one way to score only')
        config.model.test_cfg.score = args.score
    config.model.test_cfg.update(instance_on=False, semantic_on=False)
    return config


def main() -> None:
    """Builds the model, predicts, draws."""
    args = parse_args()
    config = read_config(args)
    init_default_scope(config.default_scope)
    model = MODELS.build(config.model)
    if args.checkpoint is not None:
        load_checkpoint(model, args.checkpoint, map_location='cpu')
    model.cfg = config  # where mmdet looks for the pipeline
    model.to(args.device).eval()
    if args.things is not None or args.stuff is not None:
        things, stuff = read_names(args.things or ''), read_names(args.stuff or '')
        model.set_vocabulary(dict(things=things, stuff=stuff))
    picture = ImageOps.exif_transpose(Image.open(args.image)).convert('RGB')
    found = inference_detector(model, cv2.cvtColor(np.asarray(picture), cv2.COLOR_RGB2BGR))
    segments = found.pred_panoptic_seg.sem_seg[0].cpu().numpy()
    Path(args.out).parent.mkdir(parents=True, exist_ok=True)
    draw_panoptic(picture, segments, model.classes, args.opacity).save(args.out)
    print(args.out)


if __name__ == '__main__':
    main()
