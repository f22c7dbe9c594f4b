"""Images with captions: the data of image-level supervision (paper, section 4.1, sanity check)."""

from __future__ import annotations

import numpy as np
from mmengine.registry import DATASETS, TRANSFORMS

from .annotations.captions import load_captions
from .image_regions import ImageRegions
from .seeded_index import rng_from_key


@DATASETS.register_module()
class CaptionedImages(ImageRegions):
    """Images of a COCO captions json, each with its captions.

    A sample starts with the keys of `ImageRegions`, `captions` (a list of at least one sentence)
    and an empty `boxes_src`. `ChooseCaption` chooses one of the captions. Images without a caption
    are left out.

    Args:
        ann_file: COCO captions json, ``captions_train2017.json``.
        **kwargs: As in `ImageRegions`.
    """

    def load_data_list(self) -> list[dict]:
        """Read the captions file.

        Returns:
            One dict per image that has a caption, in the order of the file.

        Raises:
            ValueError: The file is broken or has no caption.
        """
        captions = load_captions(self.ann_file, self.backend_args)
        found = [
            dict(info, captions=captions[info['img_id']], boxes_src=np.zeros((0, 4)))
            for info in super().load_data_list()
            if captions[info['img_id']]
        ]
        if not found:
            raise ValueError(f"{self.ann_file}: none of its images has a 'caption'")
        return found


@TRANSFORMS.register_module()
class ChooseCaption:
    """Choose one of an image's captions.

    Needs `captions` and `rng_key`; adds `caption`. The choice depends on `rng_key` only: it changes
    from epoch to epoch and is the same in a resumed run.
    """

    def __call__(self, results: dict) -> dict:
        """Choose the caption of one sample."""
        captions = results['captions']
        results['caption'] = captions[int(rng_from_key(results['rng_key']).integers(len(captions)))]
        return results
