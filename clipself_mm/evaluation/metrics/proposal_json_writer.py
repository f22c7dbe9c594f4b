"""Proposals of a region proposal network on disk, as CLIPSelf's proposal regions read them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from mmengine.registry import METRICS

from clipself_mm.datasets.annotations.coco_json import load_coco_json
from clipself_mm.datasets.proposals.conversion import ProposalSelection, proposal_content
from clipself_mm.io.atomic_write import save_json

from ..functional import annotation_file


@METRICS.register_module()
class ProposalJsonWriter(BaseMetric):
    """Writes what an RPN proposes as a COCO-style json (paper, section 4.2).

    An evaluator, so that `tools/test.py` makes the file, on one process or many. The annotations
    have one category, their `score` and boxes in pixels of the original images; suppression and
    the number considered are the RPN's `test_cfg`.

    Args:
        out_file: Path of the new file; it is whole or absent.
        ann_file: COCO instances json whose `images` are repeated in the new file; by default the
            one that the data set itself was read from.
        score_thr: Least score that is kept.
        max_per_img: Largest number of proposals of an image, the best ones.
        backend_args: Arguments of MMEngine's file backend for the json.
        **kwargs: As in mmengine's `BaseMetric`.

    Raises:
        FileNotFoundError: There is no such `ann_file`.
        ValueError: It is broken, or a number is out of its range.
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
        self.ann_file = ann_file
        self.backend_args = backend_args
        self.out_file = out_file
        self.selection = ProposalSelection(score_thr=score_thr, max_per_img=max_per_img)
        if ann_file is not None:
            _ = self.images

    @cached_property
    def images(self) -> list[dict]:
        """The images of the json, read once."""
        path = annotation_file(self.ann_file, self.dataset_meta, type(self).__name__)
        return load_coco_json(path, ('images',), self.backend_args)['images']

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Keep the proposals of a batch.

        Args:
            data_batch: Unused.
            data_samples: With `img_id` and `pred_instances` (`bboxes` xyxy, `scores`).

        Raises:
            ValueError: There is no json to read images from; found out at the first batch.
        """
        _ = self.images
        for sample in data_samples:
            found = sample['pred_instances']
            boxes = found['bboxes'].cpu().double().numpy().reshape(-1, 4)
            boxes[:, 2:] -= boxes[:, :2]
            scores = found['scores'].cpu().double().numpy()
            kept = self.selection.select(boxes, scores)
            self.results.append((sample['img_id'], boxes[kept], scores[kept]))

    def compute_metrics(self, results: list[tuple]) -> dict[str, float]:
        """Write the file.

        Args:
            results: Image id, boxes and scores of every image, of all processes.

        Returns:
            `per_image`: the mean number of proposals.
        """
        proposals: dict[int | str, tuple[np.ndarray, np.ndarray]] = {
            image_id: (boxes, scores) for image_id, boxes, scores in results
        }
        content = proposal_content(self.images, proposals, self.selection)
        save_json(content, self.out_file)
        count = len(content['annotations'])
        print_log(f'{count} proposals: {self.out_file}', logger='current')
        return {'per_image': count / max(len(results), 1)}
