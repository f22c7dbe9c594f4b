"""Measure a file of proposals by annotated boxes: how many objects they find, how many are one.

python tools/measure_proposals.py data/shapes_ov/annotations/object_regions.json \
    --ann-file data/shapes_ov/annotations/instances_train_all.json --vocabulary shapes_ov

SRC is what `tools/convert_proposals.py` reads. The annotations are read here only: no training
needs them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from clipself_mm.datasets import load_vocabulary
from clipself_mm.datasets.annotations.categories import complete_labels
from clipself_mm.datasets.annotations.coco_json import load_instances
from clipself_mm.datasets.annotations.nouns import vocabulary_of_categories
from clipself_mm.datasets.proposals.reading import read_proposals
from clipself_mm.evaluation.functional import proposal_recall
from clipself_mm.evaluation.functional.box_matching import overlaps, truth_by_image
from clipself_mm.evaluation.functional.ground_truth import ground_truth
from clipself_mm.evaluation.functional.proposal_recall import Proposals
from clipself_mm.evaluation.metrics.open_vocab_proposal_recall import recall_table


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description='Measure region proposals by annotated boxes.')
    parser.add_argument('src', help='.pkl of DumpProposals, or .json')
    parser.add_argument('--ann-file', required=True, help='COCO-style json with the boxes')
    parser.add_argument('--vocabulary', help='name or json of classes; default: all in the file')
    parser.add_argument(
        '--proposal-nums', type=int, nargs='+', default=[10, 100], help='best N per image'
    )
    args = parser.parse_args()
    numbers = args.proposal_nums
    if numbers != sorted(set(numbers)) or numbers[0] < 1:
        parser.error(f'--proposal-nums must be positive and ascend, got {numbers}')
    return args


def object_share(
    proposals: Mapping[int, Proposals], annotations: Sequence[Mapping], limit: int
) -> tuple[float, int]:
    """Share of the proposals that cover an object with an IoU of 0.5 or more.

    Args:
        proposals: Image number to boxes xyxy in source pixels and scores.
        annotations: See `truth_by_image`. Proposals on crowds do not count.
        limit: Best proposals per image.

    Returns:
        The share, 0 without a proposal; and the number of proposals.
    """
    truths = truth_by_image(annotations)
    hits = count = 0
    for number, (boxes, scores) in proposals.items():
        best = boxes[np.argsort(-scores, kind='stable')[:limit]]
        covered = on_crowd = np.zeros(len(best), bool)
        if number in truths:
            over = overlaps(best, truths[number]) >= 0.5
            covered = over[:, ~truths[number].crowd].any(axis=1)
            on_crowd = over[:, truths[number].crowd].any(axis=1) & ~covered
        hits += int(covered.sum())
        count += int((~on_crowd).sum())
    return hits / max(count, 1), count


def measure(args: argparse.Namespace) -> str:
    """The tables.

    Raises:
        FileNotFoundError: A file does not exist.
        ValueError: A file is broken, or has no object or no proposal.
    """
    content = load_instances(args.ann_file)
    categories = content['categories']
    if args.vocabulary is None:
        vocabulary = vocabulary_of_categories(categories, args.ann_file)
    else:
        vocabulary = load_vocabulary(args.vocabulary)
    classes = vocabulary.classes
    label_of = complete_labels(categories, classes, args.ann_file, vocabulary.aliases)
    truth, _ = ground_truth(content, label_of, args.ann_file)
    found, missing = read_proposals(args.src, content['images'], args.ann_file)
    if not truth['annotations'] or not found:
        raise ValueError(
            f'{args.src} has proposals for {len(found)} of the {len(content["images"])} images of '
            f'{args.ann_file}, which has {len(truth["annotations"])} boxes'
        )
    proposals: dict[int | str, Proposals] = {}
    for number, image in enumerate(content['images'], start=1):
        boxes, scores = found.get(image['id'], (np.zeros((0, 4)), None))
        ranks = -np.arange(len(boxes), dtype=float)
        corners = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)
        proposals[number] = corners, ranks if scores is None else scores
    entries = truth['annotations']
    splits = {
        name: [entry for entry in entries if classes[entry['category_id'] - 1] in split]
        for name, split in (('novel', vocabulary.novel), ('base', vocabulary.base))
        if split
    }
    numbers = proposal_recall({**splits, 'all': entries}, proposals, args.proposal_nums)
    lines = [recall_table(numbers, len(proposals)), '']
    for limit in args.proposal_nums:
        share, count = object_share(proposals, entries, limit)
        best = f'the best {limit} per image'
        lines.append(f'{best}: {count} proposals, {100 * share:.1f}% cover an object (IoU 0.5)')
    if missing:
        names = ', '.join(missing[:3])
        lines.append(f'left out: {len(missing)} images not in {args.ann_file}: {names}')
    return '\n'.join(lines)


def main() -> None:
    """Measure and print."""
    args = parse_args()
    try:
        print(measure(args))
    except (OSError, ValueError) as error:
        sys.exit(f'error: {error}')


if __name__ == '__main__':
    main()
