"""Teacher crops of the regions whose embeddings are not cached."""

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
    """Cache keys of crops: hashes of the image's pixels and the corners of the crop.

    The file name is not part of the key: files may move, and a replaced file gets new keys.

    Args:
        image: Source image, uint8 of shape (H, W, 3).
        boxes_src: Boxes of the crops (after enlargement) xyxy in source pixels, shape (R, 4).

    Returns:
        R keys of 16 bytes, the first 128 bits of a SHA-256.
    """
    height, width = image.shape[:2]
    pixels = hashlib.sha256(np.array(image.shape, '<i8').tobytes())
    pixels.update(np.ascontiguousarray(image).data)
    corners = [np.array(whole_pixels(box, height, width), '<i8') for box in boxes_src]
    return [hashlib.sha256(pixels.digest() + c.tobytes()).digest()[:16] for c in corners]


def crop_recipe(crop: dict) -> str:
    """Canonical form of the config of a crop, for the metadata of a cache.

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
    """Look up the teacher embeddings of the regions, and cut crops of the missing ones only.

    Replaces `CropRegions` and needs the same keys, `img` and `crop_boxes_src`. `crops` has the M
    regions that are not cached, in order. `cached_targets`, a `BaseDataElement`, has `embeddings`
    (the cached ones, float32 of shape (R - M, D)) and as metainfo `found` (bool of shape (R)),
    `missing_keys` of the M crops, `crops` (see `crop_recipe`) and `folder`. The model needs the
    same folder (`TeacherCache`): it encodes the crops and adds them to the cache.

    Args:
        folder: Folder of the cache; it need not exist.
        crop_type: Transform that makes the crops; a crop must depend on image and box only.
        **crop: Arguments of that transform, for example `size`.

    Raises:
        ValueError: The crops depend on the segment (`mask_value`) or are cut on the device.
    """

    def __init__(self, folder: str, crop_type: str = 'CropRegions', **crop: object) -> None:
        config = dict(type=crop_type, **crop)
        self.crop = TRANSFORMS.build(config)
        if getattr(self.crop, 'mask_value', None) is not None:
            raise ValueError(
                'CropUncachedRegions: mask_value must be None, because the cache keys depend on '
                'image and box only'
            )
        if getattr(self.crop, 'resize', True) is None:
            raise ValueError(
                "CropUncachedRegions: backend='device' cuts every crop; use pillow or torch"
            )
        self.recipe = crop_recipe(config)
        self.cache = EmbeddingCache(folder)

    def __call__(self, results: dict) -> dict:
        """Look up and crop the regions of one sample."""
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
