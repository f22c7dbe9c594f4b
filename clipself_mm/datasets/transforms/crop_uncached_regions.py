"""Teacher crops of those regions whose embedding is not in a cache."""

from __future__ import annotations

import hashlib
import inspect
import json
from itertools import compress

import numpy as np
import torch
from mmengine.registry import TRANSFORMS
from mmengine.structures import BaseDataElement

from ..embedding_cache import EmbeddingCache
from .crop_regions import whole_pixels


def crop_keys(image: np.ndarray, boxes_src: np.ndarray) -> list[bytes]:
    """Cache keys of crops: hashes of the photo's pixels and the corners that are cut.

    The file name is not part of it: a folder may move, and a photo that was replaced is another.

    Args:
        image: The photo, uint8 of shape (H, W, 3).
        boxes_src: Boxes xyxy in pixels of the photo as the crops are cut, so after any enlargement,
            shape (R, 4).

    Returns:
        R keys of 16 bytes, each 128 bits of a SHA-256.
    """
    height, width = image.shape[:2]
    photo = hashlib.sha256(np.array(image.shape, '<i8').tobytes())
    photo.update(np.ascontiguousarray(image))
    corners = [np.array(whole_pixels(box, height, width), '<i8') for box in boxes_src]
    return [hashlib.sha256(photo.digest() + c.tobytes()).digest()[:16] for c in corners]


def crop_recipe(crop: dict) -> str:
    """Write down how a box becomes a crop.

    Args:
        crop: Config of a transform that makes crops.

    Returns:
        Class name and all arguments, defaults included, as json.
    """
    arguments = dict(crop)
    cls = TRANSFORMS.get(arguments.pop('type'))
    bound = inspect.signature(cls).bind(**arguments)
    bound.apply_defaults()
    return json.dumps([cls.__name__, bound.arguments], sort_keys=True, default=str)


@TRANSFORMS.register_module()
class CropUncachedRegions:
    """Look up the teacher embeddings of the regions and cut crops of the others only.

    Used in place of `CropRegions`; needs the same keys, `img` and `crop_boxes_src`. `crops` then
    has the M regions that were not found, in order. `cached_targets`, a `BaseDataElement`, has
    `embeddings`, those found, float32 of shape (R - M, D), and as metainfo `found` (bool of shape
    (R)), `missing_keys` of the M crops, `crops` (see `crop_recipe`) and `folder`. The model needs
    the same folder (`TeacherCache`): it encodes the crops and adds them to the cache.

    Args:
        folder: Folder of the cache; it need not exist.
        crop_type: The transform that cuts; its crop must depend on photo and box alone.
        **crop: Its arguments, as `size`.

    Raises:
        ValueError: The crops depend on the segment too (`mask_value`).
    """

    def __init__(self, folder: str, crop_type: str = 'CropRegions', **crop: object) -> None:
        config = dict(type=crop_type, **crop)
        self.crop = TRANSFORMS.build(config)
        if getattr(self.crop, 'mask_value', None) is not None:
            raise ValueError('mask_value: the keys of a cache depend on photo and box only')
        self.recipe = crop_recipe(config)
        self.cache = EmbeddingCache(folder)

    def __call__(self, results: dict) -> dict:
        """Look up and cut the regions of one sample."""
        boxes_src = results['crop_boxes_src']
        keys = crop_keys(results['img'], boxes_src)
        embeddings, found = self.cache.get(keys)
        results = self.crop({**results, 'crop_boxes_src': boxes_src[~found]})
        results['crop_boxes_src'] = boxes_src
        results['cached_targets'] = BaseDataElement(
            metainfo=dict(
                found=found,
                missing_keys=list(compress(keys, ~found)),
                crops=self.recipe,
                folder=self.cache.folder,
            ),
            embeddings=torch.from_numpy(embeddings),
        )
        return results
