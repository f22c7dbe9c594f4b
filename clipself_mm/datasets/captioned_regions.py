"""Proposals and the nouns of an image's captions: the input of region-text pairing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.fileio import join_path
from mmengine.logging import print_log
from mmengine.registry import DATASETS
from mmengine.utils import is_abs

from .annotations.captions import load_captions
from .annotations.nouns import CaptionNouns, load_nouns
from .image_regions import ImageRegions


@DATASETS.register_module()
class CaptionedRegions(ImageRegions):
    """Images with proposals and the nouns of their captions (paper, section A.4).

    A sample starts with the keys of `ImageRegions`, `noun_labels` (labels of the nouns in its
    captions, ascending) and `is_thing` (bool, (R), all true, so that `AnnotatedRegions` enlarges
    the crops). Images without a noun or without a box are left out; the log has their number.

    With `test_mode=True` the metainfo has the path of the proposals (`ann_file`), which
    `RegionTextJsonWriter` needs.

    Args:
        ann_file: COCO-style json of proposals.
        caption_file: COCO captions json with the same image ids; relative to `data_root`.
        vocabulary: The nouns, see `load_nouns`.
        max_nouns: Keep at most this many random nouns per image (seed: position of the image in
            `ann_file`). This measures the effect of captions that leave objects out.
        **kwargs: As in `ImageRegions`.

    Raises:
        ValueError: A file is broken, or no image has a noun and a box.
    """

    def __init__(
        self,
        ann_file: str,
        caption_file: str,
        vocabulary: str,
        max_nouns: int | None = None,
        **kwargs: Any,
    ) -> None:
        if max_nouns is not None and max_nouns < 1:
            raise ValueError(f'max_nouns is at least 1, not {max_nouns}')
        self.max_nouns = max_nouns
        self.caption_file = caption_file
        self.vocabulary = load_nouns(vocabulary)
        super().__init__(ann_file=ann_file, **kwargs)
        self._metainfo.update(classes=self.vocabulary.classes)

    def load_data_list(self) -> list[dict]:
        """Read both files.

        Returns:
            One dict per image with a noun and a box, in the order of `ann_file`.
        """
        images = super().load_data_list()
        captions = load_captions(self.caption_file, self.backend_args)
        find_nouns = CaptionNouns(self.vocabulary)
        paired = []
        for position, image in enumerate(images):
            labels = self._keep(find_nouns(captions.get(image['img_id'], ())), position)
            boxes = image['boxes_xywh']
            if labels and len(boxes):
                paired.append(dict(image, noun_labels=labels, is_thing=np.ones(len(boxes), bool)))
        if not paired:
            raise ValueError(
                f'{self.caption_file}: no caption of an image with a box in {self.ann_file} has '
                f'one of the {len(self.vocabulary.classes)} nouns of {self.vocabulary.name}'
            )
        print_log(
            f'{len(paired)} of {len(images)} images of {self.ann_file} have boxes and nouns of '
            f'{self.vocabulary.name} in their captions',
            logger='current',
        )
        return paired

    def _keep(self, labels: Sequence[int], seed: int) -> list[int]:
        """At most `max_nouns` of an image's labels, ascending."""
        if self.max_nouns is None or len(labels) <= self.max_nouns:
            return list(labels)
        generator = np.random.default_rng(seed)
        return sorted(generator.choice(labels, self.max_nouns, replace=False).tolist())

    def _join_prefix(self) -> None:
        """Join `data_root` to `caption_file` too."""
        super()._join_prefix()
        if not is_abs(self.caption_file):
            self.caption_file = join_path(self.data_root, self.caption_file)
