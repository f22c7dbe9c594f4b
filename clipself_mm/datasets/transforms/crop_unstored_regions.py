"""The teacher's view of those regions only whose embedding no store holds."""

from __future__ import annotations

import hashlib
import inspect
import json
from pathlib import Path

import numpy as np
import torch
from mmengine.registry import TRANSFORMS

from ..stored_targets import StoredTargets
from ..teacher_store import StoreView
from .crop_regions import whole_pixels


def crop_keys(image: np.ndarray, boxes_src: np.ndarray) -> np.ndarray:
    """Name crops of a photo by its pixels and the corners they are cut at.

    The pixels, not the name of the file: a moved folder keeps its store, and a photo that was
    replaced, or turned, is another. 0.6 ms at 640 x 480.

    Args:
        image: The photo, uint8 of shape (H, W, 3).
        boxes_src: Boxes xyxy in pixels of the photo as the crops are cut, so after any enlargement,
            shape (R, 4).

    Returns:
        uint64 of shape (R, 2), 128 bits of a SHA-256.
    """
    height, width = image.shape[:2]
    photo = hashlib.sha256(np.array(image.shape, '<i8').tobytes())
    photo.update(np.ascontiguousarray(image))
    keys = np.empty((len(boxes_src), 2), np.uint64)
    for key, box_src in zip(keys, boxes_src, strict=True):
        corners = np.array(whole_pixels(box_src, height, width), '<i8')
        digest = hashlib.sha256(photo.digest() + corners.tobytes()).digest()
        key[:] = np.frombuffer(digest[:16], '<u8')
    return keys


def crop_recipe(crop: dict) -> str:
    """Write down how a box becomes a crop.

    Args:
        crop: Config of a transform that makes crops.

    Returns:
        The name of its class and all its arguments, with those not given, as json.
    """
    arguments = dict(crop)
    cls = TRANSFORMS.get(arguments.pop('type'))
    bound = inspect.signature(cls).bind(**arguments)
    bound.apply_defaults()
    return json.dumps([cls.__name__, bound.arguments], sort_keys=True, default=str)


@TRANSFORMS.register_module()
class CropUnstoredRegions:
    """Cut the crops a teacher store lacks and look the embeddings of the others up.

    Takes the place of `CropRegions`, whose needs it has: `img` in source pixels and
    `crop_boxes_src`. `crops` has only what was not found, in the order of the regions;
    `stored_targets` (`StoredTargets`) the rest of the truth. The model needs the same folder, see
    `TeacherStore`: it encodes what was cut and adds it to the store.

    What others have added comes into view when the number of the draw changes, that is, with each
    epoch or pass over the data, in every worker process by itself.

    Args:
        folder: Folder of the store; it need not exist.
        crop_type: The transform that cuts, one whose crop follows from photo and box alone.
        **crop: Its arguments, as `size`.

    Raises:
        ValueError: The crops show one segment only, which the store's keys do not tell apart.
    """

    def __init__(self, folder: str, crop_type: str = 'CropRegions', **crop: object) -> None:
        config = dict(type=crop_type, **crop)
        self.crop = TRANSFORMS.build(config)
        if getattr(self.crop, 'mask_value', None) is not None:
            raise ValueError('mask_value: a store names crops by photo and box, not by segment')
        self.view = StoreView(Path(folder), crop_recipe(config))
        self._number: tuple[int, int] | None = None

    def __call__(self, results: dict) -> dict:
        """Look up, then cut the rest of one sample.

        Raises:
            ValueError: The folder holds a store of other crops.
        """
        if self._number != results['draw'][:2]:
            self._number = results['draw'][:2]
            self.view.refresh()
        boxes_src = results['crop_boxes_src']
        keys = crop_keys(results['img'], boxes_src)
        embeddings, found = self.view.lookup(keys)
        results = self.crop({**results, 'crop_boxes_src': boxes_src[~found]})
        results['crop_boxes_src'] = boxes_src
        results['stored_targets'] = StoredTargets(
            metainfo=dict(
                found=found,
                new_keys=keys[~found],
                crops=self.view.crops,
                folder=self.view.folder,
                facts=self.view.facts,
            ),
            embeddings=torch.from_numpy(embeddings),
        )
        return results
