"""Conversion of the proposals of any detector to a COCO-style json, for `ProposalRegions`."""

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
    """Statistics of a conversion.

    Attributes:
        read: Number of proposals of images in the annotation file.
        kept: Number of proposals written.
        images: Number of images in the annotation file.
        filled: Number of these with a proposal; the others train on their top-left quarter.
        missing: Images of the proposals that are not in the annotation file.
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
    """Convert proposals to the format that `ImageRegions` reads and `ProposalJsonWriter` writes.

    Args:
        images: Entries of `images`, copied unchanged.
        proposals: Image id to boxes (x, y, width, height in source pixels) and scores.
        selection: Which proposals are kept.
        progress: Wraps the iteration over images (tqdm).

    Returns:
        COCO-style content with one category; annotations have a `score` if there are scores.
    """
    annotations: list[dict] = []
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
    """Convert a file of proposals to the json that `ImageRegions` reads.

    Args:
        src: Pickle or json of proposals, see `read_proposals`.
        ann_file: COCO-style or LVIS-style json whose `images` are copied.
        out: Output path (written atomically).
        selection: Which proposals are kept.
        progress: Wraps the iteration over images (tqdm).

    Raises:
        FileNotFoundError: A file does not exist.
        ValueError: A file is broken, no image of the proposals is in the annotation file, a score
            threshold is given but there are no scores, or no proposal is left.
    """
    selection = selection or ProposalSelection()
    images = load_coco_json(ann_file)['images']
    proposals, missing = read_proposals(src, images, ann_file)
    if not proposals and not missing:
        raise ValueError(f'{src} has 0 proposals')
    if not proposals:
        raise ValueError(
            f'{src}: none of its {len(missing)} images with proposals (the first is {missing[0]}) '
            f'is among the {len(images)} of {ann_file}'
        )
    if selection.score_thr > 0 and any(scores is None for _, scores in proposals.values()):
        raise ValueError(
            f'{src}: its proposals have no scores, so score_thr must be 0, not '
            f'{selection.score_thr}'
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
    """Which proposals of an image are kept.

    Attributes:
        score_thr: Minimum score; more than 0 needs scores.
        nms_iou: IoU threshold of class-agnostic NMS; None for no NMS.
        max_per_img: Maximum number per image.
        min_size: Side of the smallest square allowed, in source pixels (an equal area is kept), as
            in `ProposalRegions`.
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
        """Select the proposals of one image; boxes without area are dropped.

        Args:
            boxes_xywh: Boxes x, y, width, height in source pixels, float64 of shape (R, 4).
            scores: Their scores, float64 of shape (R); None: the first box is the best.

        Returns:
            Indices, int64 of shape (S), best first.
        """
        width, height = boxes_xywh[:, 2], boxes_xywh[:, 3]
        keep = (width > 0) & (height > 0) & (width * height >= self.min_size**2)
        order: np.ndarray = np.arange(len(boxes_xywh))
        if scores is not None:
            keep &= scores >= self.score_thr
            order = np.argsort(-scores, kind='stable')
        order = order[keep[order]]
        if self.nms_iou is not None:
            corners = boxes_xywh[order].copy()
            corners[:, 2:] += corners[:, :2]
            rank = torch.arange(len(order), 0, -1, dtype=torch.float64)  # scores may have ties
            order = order[nms(torch.from_numpy(corners), rank, self.nms_iou).numpy()]
        return order[: self.max_per_img]
