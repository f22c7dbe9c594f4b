"""Proposals that somebody else made, such as the authors' ``coco_proposals.json``."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from clipself_mm.datasets.annotations.boxes import BoxCounts, boxes_by_image, read_boxes
from clipself_mm.datasets.annotations.coco_json import image_file_name
from clipself_mm.datasets.annotations.nouns import vocabulary_of_categories
from clipself_mm.datasets.checks.check_data import read_annotations
from clipself_mm.datasets.checks.check_files import check_folder


class GivenProposals(NamedTuple):
    """A file of proposals.

    Attributes:
        path: COCO-style json: ``images``, and ``annotations`` with ``bbox``.
        nouns: How many nouns its boxes are labelled with; 0 for boxes without.
    """

    path: Path
    nouns: int = 0


def read_given_proposals(path: Path, images: Path) -> GivenProposals:
    """Check a file of proposals before hours are spent on it.

    Args:
        path: The json.
        images: Folder of the training images.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no json of proposals, or one of its images is not in the folder.
    """
    if not path.is_file():
        raise FileNotFoundError(f'{path}: there is no such file of proposals')
    finding, content = read_annotations(str(path))
    if not content:
        problem = f', it {finding.problem}' if finding.problem else ''
        raise ValueError(f'{path}: expected a COCO-style json of proposals{problem}')
    if not boxes_by_image(read_boxes(content, BoxCounts(str(path)))):
        raise ValueError(f'{path}: none of its {len(content["images"])} images has a box')
    names = [image_file_name(image, str(path)) for image in content['images']]
    folder = check_folder(str(images), names)
    if folder.problem:
        raise ValueError(f'{path}: its images in {images}: {folder.problem}')
    return GivenProposals(path.resolve(), _count_nouns(content, str(path)))


def _count_nouns(content: dict, path: str) -> int:
    """Number of categories, where they are nouns: a file of mere boxes has one, or none."""
    categories = content.get('categories', [])
    if len(categories) < 2:
        return 0
    ids = vocabulary_of_categories(categories, path).ids
    strange = {entry.get('category_id') for entry in content['annotations']}.difference(ids)
    if strange:
        raise ValueError(f'{path}: it has no category {sorted(map(str, strange))[0]}')
    return len(ids)
