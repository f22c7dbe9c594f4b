"""Captions of images in the format of COCO's ``captions_*.json``."""

from __future__ import annotations

from .coco_json import load_coco_json


def load_captions(path: str, backend_args: dict | None = None) -> dict[int | str, list[str]]:
    """Read the captions of each image.

    Args:
        path: COCO captions json: `images`, and `annotations` with `image_id` and `caption`.
        backend_args: Arguments of MMEngine's file backend.

    Returns:
        Image id to its captions in the order of the file; an image without one has an empty list.

    Raises:
        ValueError: The file is broken, or a caption is not text or has an unknown image id.
    """
    content = load_coco_json(path, ('images', 'annotations'), backend_args)
    captions: dict[int | str, list[str]] = {image['id']: [] for image in content['images']}
    for annotation in content['annotations']:
        text, image_id = annotation.get('caption'), annotation.get('image_id')
        if not isinstance(text, str) or not text.strip():
            raise ValueError(f"{path}: an annotation has no text under 'caption': {annotation}")
        if image_id not in captions:
            raise ValueError(f'{path}: a caption has image_id {image_id}, which is not in images')
        captions[image_id].append(text)
    return captions
