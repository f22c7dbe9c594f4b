"""Segment an image by class names: tools/segment_image.py IMG CONFIG [--texts "red star"]."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from mmengine.config import Config
from mmseg.apis import inference_model, init_model
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from clipself_mm.datasets import ImageReadError
from clipself_mm.datasets.exemplars import list_exemplars
from clipself_mm.datasets.input_images import read_image_argument
from clipself_mm.launch import replace_tower
from clipself_mm.model_index import config_file
from clipself_mm.models import embed_exemplars, join_exemplars, read_name_option
from clipself_mm.visualization import draw_segmentation


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description='Segment an image by class names and draw it.')
    parser.add_argument('image', help='image file')
    parser.add_argument(
        'config', type=config_file, help='config of a segmentor with set_vocabulary'
    )
    parser.add_argument('checkpoint', nargs='?', help='trained weights, if any')
    parser.add_argument(
        '--tower', help='weights (FILE) or CLIP (local-dir:FOLDER) to replace those of the config'
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
    parser.add_argument('--out', default='work_dirs/segment_image.png', help='output file')
    parser.add_argument('--opacity', type=float, default=0.6, help='weight of the colours, 0-1')
    parser.add_argument('--device', default='cpu', help='cpu, cuda:0, ...')
    args = parser.parse_args()
    args.texts = read_name_option(parser, '--texts', args.texts)
    return args


def main() -> None:
    """Build the model, predict, draw."""
    args = parse_args()
    config = Config.fromfile(args.config)
    if args.tower is not None:
        replace_tower(config, args.tower)
    pixels = read_image_argument(args.image)
    model = init_model(config, args.checkpoint, device=args.device)
    if args.exemplars is not None:
        tower = getattr(model.backbone, 'tower', model.backbone)
        try:
            vectors = embed_exemplars(tower, list_exemplars(args.exemplars), tower.image_size)
            classes, pictures = join_exemplars(args.texts or (), vectors, args.exemplar_weight)
        except (ImageReadError, OSError, ValueError) as error:
            sys.exit(f'error: --exemplars: {error}')
        model.set_vocabulary(classes, pictures)
    elif args.texts is not None:
        model.set_vocabulary(args.texts)
    found = inference_model(model, pixels[..., ::-1].copy())
    labels = found.pred_sem_seg.data[0].cpu().numpy()
    Path(args.out).parent.mkdir(parents=True, exist_ok=True)
    draw_segmentation(Image.fromarray(pixels), labels, model.classes, args.opacity).save(args.out)
    print(args.out)


if __name__ == '__main__':
    main()
