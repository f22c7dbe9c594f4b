"""Proposals of another detector to a COCO-style json of boxes, for `ProposalRegions`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torchvision.ops import nms

from clipself_mm.io.atomic_write import save_json

from ..annotations.coco_json import load_coco_json
from .reading import Boxes, Key, read_proposals


@dataclass(frozen=True)
class ProposalCount:
    """What became of a file of proposals.

    Attributes:
        read: Proposals of images that the annotation file lists.
        kept: Those written.
        images: Images that the annotation file lists.
        filled: Those with a proposal; the others train on their top-left quarter.
        missing: Images of the proposals that the annotation file does not list.
    """

    read: int
    kept: int
    images: int
    filled: int
    missing: tuple[str, ...]


def proposal_content(
    images: Sequence[dict],
    proposals: Mapping[Key, Boxes],
    selection: ProposalSelection,
    progress: Callable[[Iterable], Iterable] = iter,
) -> dict:
    """Put proposals into the layout that `ImageRegions` reads and `ProposalJsonWriter` writes.

    Args:
        images: Entries of `images`; repeated as they are.
        proposals: Image id to boxes (x, y, width, height in source pixels) and scores.
        selection: Which of them are kept.
        progress: Wraps the images that are gone through (tqdm).

    Returns:
        COCO-style content with one category; `score` stands where there are scores.
    """
    annotations = []
    for image in progress(images):
        if image['id'] not in proposals:
            continue
        boxes, scores = proposals[image['id']]
        for index in selection.select(boxes, scores):
            x, y, width, height = boxes[index].tolist()
            annotation = {
                'id': len(annotations) + 1,
                'image_id': image['id'],
                'category_id': 1,
                'bbox': [x, y, width, height],
                'area': width * height,
                'iscrowd': 0,
            }
            if scores is not None:
                annotation['score'] = float(scores[index])
            annotations.append(annotation)
    categories = [{'id': 1, 'name': 'proposal'}]
    return {'images': list(images), 'annotations': annotations, 'categories': categories}


def convert_proposals(
    src: str,
    ann_file: str,
    out: str,
    selection: ProposalSelection | None = None,
    progress: Callable[[Iterable], Iterable] = iter,
) -> ProposalCount:
    """Write a file of proposals as the json that `ImageRegions` reads.

    Args:
        src: Pickle or json of proposals, as in `read_proposals`.
        ann_file: COCO-style or LVIS-style json whose `images` are repeated in the new file.
        out: The new file, whole or absent.
        selection: Which proposals are kept.
        progress: Wraps the images that are gone through (tqdm).

    Returns:
        What was read and kept.

    Raises:
        FileNotFoundError: If a file does not exist.
        ValueError: If one is broken, if no image of the proposals is in the annotation file, if a
            score is wanted of proposals without any, or if no proposal is left; names the file.
    """
    selection = selection or ProposalSelection()
    images = load_coco_json(ann_file)['images']
    proposals, missing = read_proposals(src, images, ann_file)
    if not proposals and not missing:
        raise ValueError(f'{src} holds 0 proposals')
    if not proposals:
        raise ValueError(
            f'{src}: none of its {len(missing)} images with proposals, the first being '
            f'{missing[0]}, is among the {len(images)} of {ann_file}'
        )
    if selection.score_thr > 0 and any(scores is None for _, scores in proposals.values()):
        raise ValueError(
            f'{src}: its proposals have no scores, so a least score ({selection.score_thr}) '
            'cannot choose among them'
        )
    content = proposal_content(images, proposals, selection, progress)
    read = sum(len(boxes) for boxes, _ in proposals.values())
    kept = content['annotations']
    if not kept:
        raise ValueError(f'{src}: none of its {read} proposals is left by {selection}')
    save_json(content, out)
    filled = len({annotation['image_id'] for annotation in kept})
    return ProposalCount(read, len(kept), len(images), filled, tuple(missing))


@dataclass(frozen=True)
class ProposalSelection:
    """Which proposals of an image are kept, best first.

    Attributes:
        score_thr: Least score; more than 0 needs a file with scores.
        nms_iou: A box that overlaps a better one of its image by more than this IoU goes, whatever
            its category; None for no suppression.
        max_per_img: Largest number of an image.
        min_size: Side of the smallest square allowed, in source pixels (an equal area is kept), as
            in `ProposalRegions`.

    Raises:
        ValueError: If a number is out of its range.
    """

    score_thr: float = 0.0
    nms_iou: float | None = None
    max_per_img: int = 100
    min_size: float = 0.0

    def __post_init__(self) -> None:
        """Check the numbers."""
        if self.nms_iou is not None and not 0 <= self.nms_iou <= 1:
            raise ValueError(f'nms_iou is in [0, 1], not {self.nms_iou}')
        if self.max_per_img < 1:
            raise ValueError(f'max_per_img is at least 1, not {self.max_per_img}')
        if not self.min_size >= 0:
            raise ValueError(f'min_size is at least 0, not {self.min_size}')

    def select(self, boxes_xywh: np.ndarray, scores: np.ndarray | None) -> np.ndarray:
        """Choose proposals of one image.

        Args:
            boxes_xywh: Boxes x, y, width, height in source pixels, float64 of shape (R, 4).
            scores: Their scores, float64 of shape (R); None counts the first box as the best.

        Returns:
            Indices, int64 of shape (S), best first; boxes without an area are never among them.
        """
        width, height = boxes_xywh[:, 2], boxes_xywh[:, 3]
        keep = (width > 0) & (height > 0) & (width * height >= self.min_size**2)
        order = np.arange(len(boxes_xywh))
        if scores is not None:
            keep &= scores >= self.score_thr
            order = np.argsort(-scores, kind='stable')
        order = order[keep[order]]
        if self.nms_iou is not None:
            corners = boxes_xywh[order].copy()
            corners[:, 2:] += corners[:, :2]
            rank = torch.arange(len(order), 0, -1, dtype=torch.float64)  # without ties
            order = order[nms(torch.from_numpy(corners), rank, self.nms_iou).numpy()]
        return order[: self.max_per_img]
