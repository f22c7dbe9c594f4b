"""Train the tiny CLIP of clipself_mm/shapes/tiny_clip (about 25 minutes on two cores).

python tools/train_tiny_clip.py --out work_dirs/tiny_clip --seed 0

With a ResNet as image tower: --tower resnet --out work_dirs/tiny_clip_resnet
On the scenes of Emoji-OV: --data emoji --out work_dirs/tiny_clip_emoji
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch
from open_clip import get_tokenizer
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from clipself_mm.shapes import SHAPES_OV
from projects.emoji_ov.font import FONT
from projects.emoji_ov.scenes import emoji_ov
from projects.tiny_clip.model import IMAGE_TOWERS, export_tiny_clip, load_tiny_clip
from projects.tiny_clip.training import TrainingPlan, train_tiny_clip
from projects.tiny_clip.zero_shot import zero_shot_accuracy

NUMBERS = ('seed', 'steps', 'batch', 'scenes', 'singles')


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--tower', choices=IMAGE_TOWERS, default='vit', help='image tower')
    parser.add_argument('--data', choices=('shapes', 'emoji'), default='shapes', help='scenes')
    parser.add_argument('--font', type=Path, default=FONT, help='NotoColorEmoji.ttf for emoji')
    parser.add_argument('--out', type=Path, help='default work_dirs/tiny_clip[_resnet][_emoji]')
    parser.add_argument('--work-dir', type=Path, help='checkpoints, default OUT/checkpoints')
    for name in NUMBERS:
        parser.add_argument(f'--{name}', type=int, default=getattr(TrainingPlan, name))
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--check', type=int, default=200, help='held-out scenes of the last check')
    parser.add_argument('--resume', action='store_true', help='continue from the last checkpoint')
    return parser.parse_args()


def main() -> None:
    """Train, export, load the export with open_clip and print its zero-shot accuracy."""
    args = parse_args()
    torch.set_num_threads(args.threads)
    plan = TrainingPlan(**{name: getattr(args, name) for name in NUMBERS})
    kinds = [kind for kind in (args.tower, args.data) if kind not in ('vit', 'shapes')]
    out = args.out or Path('work_dirs', '_'.join(['tiny_clip', *kinds]))
    try:
        scenes = SHAPES_OV if args.data == 'shapes' else emoji_ov(args.font)
    except (FileNotFoundError, ValueError) as error:
        sys.exit(str(error))
    work_dir = args.work_dir or out / 'checkpoints'
    model = train_tiny_clip(
        plan,
        work_dir,
        args.resume,
        progress=tqdm,
        report=tqdm.write,
        tower=args.tower,
        scene_set=scenes,
    )
    path = export_tiny_clip(model, out, args.tower)
    tokenizer = get_tokenizer(f'local-dir:{out}')
    accuracy = zero_shot_accuracy(load_tiny_clip(out), tokenizer, args.check, scene_set=scenes)
    print(f'{path}: zero-shot top-1 {accuracy["top1"]:.1f}, top-5 {accuracy["top5"]:.1f}')


if __name__ == '__main__':
    main()
