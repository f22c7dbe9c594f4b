r"""Compute the class embeddings of a vocabulary with the text tower of a CLIP.

python tools/make_text_embeddings.py ov_coco --model EVA02-B-16 \
    --checkpoint checkpoints/EVA02_CLIP_B_psz16_s8B.pt --out embeddings/ov_coco_eva02-b16.pt
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from clipself_mm.clip import PROMPT_TEMPLATES, TextTower
from clipself_mm.clip.class_embeddings import check_suffix, save_class_embeddings
from clipself_mm.clip.embedding_metadata import EmbeddingMetadata
from clipself_mm.clip.prompts import read_templates
from clipself_mm.datasets import load_vocabulary


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description='Compute the class embeddings of a vocabulary.')
    add = parser.add_argument
    add('vocabulary', help='name (ov_coco, ...) or a .json or .txt file')
    add('--model', required=True, help='open_clip name, local-dir:FOLDER or pkg:PACKAGE/FOLDER')
    add('--checkpoint', help='weights; not needed for a folder that contains them')
    add('--out', required=True, help='.safetensors, .pt or .npy file, see docs/text.md')
    add('--prompts', help='.json or .txt file of templates with {}; by default the 63 of ViLD')
    add(
        '--no-background',
        dest='background',
        action='store_false',
        help='leave out "background", the last class of detectors',
    )
    add('--device', default='cpu')
    return parser.parse_args()


def main() -> None:
    """Encode, write and print the path."""
    args = parse_args()
    check_suffix(args.out)
    templates = read_templates(args.prompts) if args.prompts else PROMPT_TEMPLATES
    vocabulary = load_vocabulary(args.vocabulary)
    classes, synonyms = list(vocabulary.classes), vocabulary.synonyms
    if args.background and 'background' not in classes:
        classes.append('background')
    tower = TextTower(args.model, args.checkpoint).to(args.device)
    embeddings = tower.embed_classes(classes, templates, synonyms=synonyms)
    weights = Path(tower.source.checkpoint).name
    origin = EmbeddingMetadata(templates, synonyms, args.model, weights)
    save_class_embeddings(args.out, classes, embeddings, origin)
    print(f'{len(classes)} class embeddings of {args.model} written to {args.out}')


if __name__ == '__main__':
    main()
