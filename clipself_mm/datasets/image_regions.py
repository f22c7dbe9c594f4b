"""Images with boxes as the training data of CLIPSelf: any COCO-style or LVIS-style json."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
from mmengine.dataset import BaseDataset
from mmengine.fileio import join_path
from mmengine.logging import print_log
from mmengine.registry import DATASETS

from .annotations.boxes import BoxCounts, boxes_by_image, read_boxes
from .annotations.coco_json import image_file_name, image_file_names, load_coco_json
from .seeded_index import SeededIndex
from .structures import ImageReadError
from .transforms.load_rgb import check_first_image


@DATASETS.register_module()
class ImageRegions(BaseDataset):
    """Images of a COCO-style json; their boxes are possible regions.

    A sample starts with `img_id`, `img_path`, `height` and `width` (where annotated), `boxes_xywh`
    (x, y, width, height in source pixels as annotated, float64 of shape (R, 4), not rounded because
    the area limits of regions hold for these numbers), and `rng_key` (see `SeededIndex.key`).

    Args:
        ann_file: COCO-style or LVIS-style json; only `images` is required.
        data_prefix: `img`: folder of the images.
        on_bad_image: `raise`, or `skip`: log a warning with the running count and use the next
            image instead, which is the same in every run.
        backend_args: Arguments of MMEngine's file backend for the json.
        **kwargs: As in MMEngine's `BaseDataset`.
    """

    labelled = False
    """Whether the regions have labels, so that a test without a region is an error."""

    def __init__(
        self,
        ann_file: str,
        data_prefix: dict | None = None,
        on_bad_image: str = 'raise',
        backend_args: dict | None = None,
        **kwargs: Any,
    ) -> None:
        if on_bad_image not in ('raise', 'skip'):
            raise ValueError(f"on_bad_image is 'raise' or 'skip', not {on_bad_image!r}")
        if on_bad_image == 'skip' and kwargs.get('test_mode'):
            raise ValueError(
                "on_bad_image='skip' with test_mode=True would count the next image twice in a "
                "test: use 'raise'"
            )
        self.on_bad_image = on_bad_image
        self.bad_images: set[str] = set()
        self._warned = False
        self.backend_args = backend_args
        self.box_counts = BoxCounts(ann_file)
        super().__init__(ann_file=ann_file, data_prefix=data_prefix or dict(img=''), **kwargs)
        if self.test_mode:
            self._metainfo.update(ann_file=self.ann_file)  # for writers of json files

    def load_data_list(self) -> list[dict]:
        """Read the annotation file.

        Returns:
            One dict per image, in the order of the file.

        Raises:
            ValueError: The file is broken or lists no image.
        """
        content = load_coco_json(self.ann_file, ('images',), self.backend_args)
        # Crowds are regions too, as in the official implementation: they show several objects.
        self.box_counts = BoxCounts(self.ann_file)
        boxes = boxes_by_image(read_boxes(content, self.box_counts, min_side=1, crowds=True))
        image_file_names(content['images'], self.ann_file)
        infos = [
            dict(self.image_info(image), boxes_xywh=boxes.get(image['id'], np.zeros((0, 4))))
            for image in content['images']
        ]
        self.report(infos)
        return infos

    def report(self, infos: list[dict]) -> None:
        """Compare the first image with its size, and log what is used.

        Args:
            infos: Result of `load_data_list`.

        Raises:
            ImageReadError: The first image with boxes has another size.
            ValueError: The pipeline reads boxes and none can be used.
        """
        self.box_counts.images = len(infos)
        self.box_counts.path = self.ann_file
        if any(getattr(step, 'reads_boxes', False) for step in self.pipeline.transforms):
            if self.on_bad_image == 'raise':
                check_first_image(infos, self.pipeline.transforms)
            self.box_counts.report(needed=self.labelled or not self.test_mode)
        else:
            print_log(f'{self.ann_file}: {len(infos):,} images', logger='current')

    def image_info(self, image: dict) -> dict:
        """Return the id, path and size of an image.

        Args:
            image: Entry of `images` in the json.

        Returns:
            `img_id`, `img_path` and, where annotated, `height` and `width` in pixels, and
            `boxes_extent` (see `BoxCounts.extents`).
        """
        info = dict(
            img_id=image['id'],
            img_path=join_path(self.data_prefix['img'], image_file_name(image, self.ann_file)),
        )
        for key in ('height', 'width'):
            if image.get(key):
                info[key] = int(image[key])
        if image['id'] in self.box_counts.extents:
            info['boxes_extent'] = self.box_counts.extents[image['id']]
        return info

    def prepare_data(self, idx: int) -> dict:
        """Run the pipeline on one image, or on the next usable one.

        Args:
            idx: A `SeededIndex`, or a plain index that counts as seed 0, number 0.

        Returns:
            Output of the pipeline. Where it is None in training, the output for the next image.

        Raises:
            ImageReadError: An image cannot be used and `on_bad_image` is `raise`.
            RuntimeError: `max_refetch` images in a row give no sample.
        """
        index = self._seeded(idx)
        bad = None
        for step in range(min(self.max_refetch + 1, len(self))):
            results = self.get_data_info((int(index) + step) % len(self))
            results['rng_key'] = index.key
            try:
                sample = self.pipeline(results)
            except ImageReadError as error:
                if self.on_bad_image == 'raise':
                    raise
                bad = error
                self._count(error)
                continue
            if sample is not None or self.test_mode:
                return sample
        raise RuntimeError(
            f'{self.ann_file}: {step + 1} images in a row gave no sample; the last bad one: {bad}'
        )

    def _seeded(self, idx: int) -> SeededIndex:
        """Return a seeded index; warn once about a plain one, whose seed is always 0."""
        if not (isinstance(idx, SeededIndex) or self.test_mode or self._warned):
            self._warned = True
            print_log(
                'plain indices: every epoch has the same regions. Use SeededSampler or '
                'InfiniteSeededSampler as the sampler of the dataloader.',
                logger='current',
                level=logging.WARNING,
            )
        return SeededIndex.of(idx)

    def _count(self, error: ImageReadError) -> None:
        """Log a bad image the first time this process reads it."""
        if error.path in self.bad_images:
            return
        self.bad_images.add(error.path)
        print_log(
            f'skipped {error} (bad image number {len(self.bad_images)} in this process)',
            logger='current',
            level=logging.WARNING,
        )
