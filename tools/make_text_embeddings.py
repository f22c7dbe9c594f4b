r"""Compute the class embeddings of a vocabulary from names, or from pictures of the classes.

python tools/make_text_embeddings.py ov_coco --model EVA02-B-16 \
    --checkpoint checkpoints/EVA02_CLIP_B_psz16_s8B.pt --out embeddings/ov_coco_eva02-b16.pt
python tools/make_text_embeddings.py my_classes.txt --model local-dir:work_dirs/RUN/tower \
    --exemplars crops/ --out embeddings/my_classes.safetensors
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch

from clipself_mm.clip import PROMPT_TEMPLATES, TextTower
from clipself_mm.clip.class_embeddings import check_suffix, save_class_embeddings
from clipself_mm.clip.embedding_metadata import EmbeddingMetadata
from clipself_mm.clip.exemplar_embedding import ExemplarEmbedding
from clipself_mm.clip.prompts import read_templates
from clipself_mm.datasets import ImageReadError, Vocabulary, load_vocabulary
from clipself_mm.datasets.exemplars import Exemplars, list_exemplars, read_exemplar_boxes
from clipself_mm.io.names import name_key, near_misses
from clipself_mm.models import embed_exemplars, join_exemplars
from clipself_mm.visualization import DenseCLIP, load_tower


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
    add = parser.add_argument_group('pictures of classes (docs/exemplars.md)').add_argument
    add('--exemplars', help='folder with a sub-folder of crops per class, or a COCO-style .json')
    add('--images', help='image folder of the .json')
    add('--size', type=int, help='longest side of the images of the .json, that of the test')
    add('--per-class', type=int, help='most boxes of a class in the .json; by default all')
    add('--seed', type=int, default=0, help='of the choice of boxes')
    add(
        '--exemplar-weight',
        type=float,
        default=0.5,
        help='share of the pictures in 0-1; 1 for names that say nothing',
    )
    args = parser.parse_args()
    if str(args.exemplars).endswith('.json') and not (args.images and args.size):
        parser.error('--exemplars: boxes of a .json need --images and --size')
    return args


def read_exemplars(args: argparse.Namespace, vocabulary: Vocabulary) -> Exemplars:
    """Exemplars of classes of the vocabulary; other categories of a .json are left out.

    Raises:
        ValueError: A sub-folder is no class of the vocabulary, or no category of the .json is.
    """
    boxes = args.exemplars.endswith('.json')
    if boxes:
        found = read_exemplar_boxes(args.exemplars, args.images, args.per_class, args.seed)
    else:
        found = list_exemplars(args.exemplars)
    class_of = {name_key(name): name for name in vocabulary.classes}
    unknown = [name for name in found if name not in class_of]
    if unknown and (not boxes or len(unknown) == len(found)):
        raise ValueError(
            f'{args.exemplars}: {unknown[:5]} are not among the {len(class_of)} classes of '
            f'{args.vocabulary}{near_misses(class_of, unknown)}'
        )
    return {class_of[name]: pictures for name, pictures in found.items() if name in class_of}


def embed_pictures(
    args: argparse.Namespace, vocabulary: Vocabulary, tower: DenseCLIP
) -> dict[str, ExemplarEmbedding]:
    """Embeddings of the classes with pictures; an error ends the tool with one sentence."""
    try:
        exemplars = read_exemplars(args, vocabulary)
        vectors = embed_exemplars(tower.image, exemplars, args.size or tower.image.image_size)
        _, pictures = join_exemplars(vocabulary.classes, vectors, args.exemplar_weight)
    except (ImageReadError, OSError, ValueError) as error:
        sys.exit(f'error: --exemplars: {error}')
    total = sum(map(len, exemplars.values()))
    print(f'{total} pictures of {len(pictures)} of {len(vocabulary.classes)} classes')
    return pictures


def main() -> None:
    """Encode, write and print the path."""
    args = parse_args()
    check_suffix(args.out)
    templates = read_templates(args.prompts) if args.prompts else PROMPT_TEMPLATES
    vocabulary = load_vocabulary(args.vocabulary)
    classes, synonyms = list(vocabulary.classes), vocabulary.synonyms
    if args.background and 'background' not in classes:
        classes.append('background')
    pictures: dict[str, ExemplarEmbedding] = {}
    if args.exemplars is None:
        text = TextTower(args.model, args.checkpoint).to(args.device)
    else:
        tower = load_tower(args.model, args.checkpoint, args.device)
        text, pictures = tower.text, embed_pictures(args, vocabulary, tower)
    names = text.embed_classes(classes, templates, synonyms=synonyms)
    embeddings = torch.stack(
        [
            pictures[name].blend(row) if name in pictures else row
            for name, row in zip(classes, names, strict=True)
        ]
    )
    weights = Path(args.checkpoint or text.source.require_checkpoint()).name
    origin = EmbeddingMetadata(templates, synonyms, args.model, weights)
    save_class_embeddings(args.out, classes, embeddings, origin)
    print(f'{len(classes)} class embeddings of {args.model} written to {args.out}')


if __name__ == '__main__':
    main()
