"""Writes the proposals of an RPN, or object regions, for CLIPSelf with boxes as regions."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import cached_property

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from mmengine.registry import METRICS

from clipself_mm.datasets.annotations.coco_json import load_coco_json
from clipself_mm.datasets.proposals.conversion import ProposalSelection, proposal_content
from clipself_mm.io.atomic_write import check_output, save_json

from ..functional import annotation_file


@METRICS.register_module()
class ProposalJsonWriter(BaseMetric):
    """Writes the proposals of an RPN, or object regions, as a COCO-style json (paper, section 4.2).

    An evaluator, so `tools/test.py` writes the file, with one process or several. The annotations
    have one category, a `score`, and boxes in source pixels. NMS and the number of candidates are
    set in the RPN's `test_cfg`.

    Args:
        out_file: Output path (written atomically).
        ann_file: COCO instances json whose `images` are copied to the output; by default the
            annotation file of the data set. Of a data set without one (`UnlabelledImages`) the
            images are those of the test, with their paths as ids and file names, and their sizes.
        score_thr: Lowest score to keep.
        max_per_img: Proposals per image, those with the highest scores.
        backend_args: Arguments of mmengine's file backend for the json.
        **kwargs: As in mmengine's `BaseMetric`.

    Raises:
        FileNotFoundError: `ann_file` does not exist.
        OSError: `out_file` is a folder, or its folder cannot be written.
        ValueError: `ann_file` is broken, or `score_thr` or `max_per_img` is out of range.
    """

    default_prefix = 'proposals'

    def __init__(
        self,
        *,
        out_file: str,
        ann_file: str | None = None,
        score_thr: float = 0.0,
        max_per_img: int = 100,
        backend_args: dict | None = None,
        **kwargs: object,
    ) -> None:
        super().__init__(**kwargs)
        check_output(out_file, f'{type(self).__name__}.out_file')
        self.ann_file = ann_file
        self.backend_args = backend_args
        self.out_file = out_file
        self.selection = ProposalSelection(score_thr=score_thr, max_per_img=max_per_img)
        if ann_file is not None:
            _ = self.images

    @cached_property
    def images(self) -> list[dict] | None:
        """`images` of the json, read once; None for a data set without json."""
        if self.ann_file is None and (self.dataset_meta or {}).get('ann_file', '') is None:
            return None
        path = annotation_file(self.ann_file, self.dataset_meta, type(self).__name__)
        return load_coco_json(path, ('images',), self.backend_args)['images']

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Keep the proposals of a batch.

        Args:
            data_batch: Unused.
            data_samples: With `img_id` and `pred_instances` (`bboxes` xyxy, `scores`); of a data
                set without json also `ori_shape` (height, width).
        """
        listed = self.images is not None
        for sample in data_samples:
            predicted = sample['pred_instances']
            boxes = predicted['bboxes'].cpu().double().numpy().reshape(-1, 4)
            boxes[:, 2:] -= boxes[:, :2]
            scores = predicted['scores'].cpu().double().numpy()
            kept = self.selection.select(boxes, scores)
            size = None if listed else sample['ori_shape']
            self.results.append((sample['img_id'], size, boxes[kept], scores[kept]))

    def compute_metrics(self, results: list[tuple]) -> dict[str, float]:
        """Write the file.

        Warns about images that were not tested: training would take them for images without boxes.

        Args:
            results: Image id, size where no json has it, boxes and scores of every image, of all
                processes.

        Returns:
            `per_image`: mean number of proposals per image.
        """
        proposals: dict[int | str, tuple[np.ndarray, np.ndarray]] = {
            image_id: (boxes, scores) for image_id, _, boxes, scores in results
        }
        images = self.images
        if images is None:
            images = [
                dict(id=path, file_name=path, height=height, width=width)
                for path, (height, width), *_ in results
            ]
        content = proposal_content(images, proposals, self.selection)
        save_json(content, self.out_file)
        count = len(content['annotations'])
        print_log(f'{count} proposals: {self.out_file}', logger='current')
        untested = sum(image['id'] not in proposals for image in images)
        if untested or not count:
            print_log(
                f'{self.out_file}: {untested} of its {len(images)} images were not tested; '
                f'the others have {count} proposals',
                logger='current',
                level=logging.WARNING,
            )
        return {'per_image': count / max(len(results), 1)}
