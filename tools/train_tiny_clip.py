"""Trains the tiny CLIP that ships in clipself_mm/shapes/tiny_clip (about 25 minutes on two cores).

python tools/train_tiny_clip.py --out work_dirs/tiny_clip --seed 0
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch
from open_clip import get_tokenizer
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from clipself_mm.shapes.tiny_clip_model import export_tiny_clip, load_tiny_clip
from clipself_mm.shapes.tiny_clip_training import train_tiny_clip
from clipself_mm.shapes.training_plan import TrainingPlan
from clipself_mm.shapes.zero_shot import zero_shot_accuracy


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--out', type=Path, default=Path('work_dirs/tiny_clip'))
    parser.add_argument('--work-dir', type=Path, help='checkpoints, default OUT/checkpoints')
    parser.add_argument('--seed', type=int, default=TrainingPlan.seed)
    parser.add_argument('--steps', type=int, default=TrainingPlan.steps)
    parser.add_argument('--batch', type=int, default=TrainingPlan.batch)
    parser.add_argument('--scenes', type=int, default=TrainingPlan.scenes)
    parser.add_argument('--singles', type=int, default=TrainingPlan.singles)
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--check', type=int, default=200, help='held-out scenes of the last check')
    parser.add_argument('--resume', action='store_true', help='continue from the last checkpoint')
    return parser.parse_args()


def main() -> None:
    """Trains, exports, reloads the export with open_clip and prints its zero-shot accuracy."""
    args = parse_args()
    torch.set_num_threads(args.threads)
    numbers = {key: getattr(args, key) for key in ('steps', 'batch', 'scenes', 'singles', 'seed')}
    plan = TrainingPlan(**numbers)
    work_dir = args.work_dir or args.out / 'checkpoints'
    model = train_tiny_clip(plan, work_dir, args.resume, progress=tqdm, report=tqdm.write)
    path = export_tiny_clip(model, args.out)
    tokenizer = get_tokenizer(f'local-dir:{args.out}')
    accuracy = zero_shot_accuracy(load_tiny_clip(args.out), tokenizer, args.check)
    print(f'{path}: zero-shot top-1 {accuracy["top1"]:.1f}, top-5 {accuracy["top5"]:.1f}')


if __name__ == '__main__':
    main()
