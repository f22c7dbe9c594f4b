"""The json of proposals that CLIPSelf's region training reads, made of any file of proposals."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from .base_split import save_json
from .coco_json import load_coco_json
from .proposal_selection import ProposalSelection
from .proposals_source import Boxes, Key, read_proposals


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
        raise ValueError(f'{src} holds no proposal')
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
