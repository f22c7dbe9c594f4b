"""Proposals of a region proposal network on disk, as CLIPSelf's proposal regions read them."""

from __future__ import annotations

from collections.abc import Sequence

from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from mmengine.registry import METRICS

from ...datasets.base_split import save_json
from ...datasets.coco_json import load_coco_json


@METRICS.register_module()
class ProposalJsonWriter(BaseMetric):
    """Writes what an RPN proposes as a COCO-style json (paper, section 4.2).

    An evaluator, so that `tools/test.py` makes the file, on one process or many. The annotations
    have one category, their `score` and boxes in pixels of the original images; suppression and
    the number considered are the RPN's `test_cfg`.

    Args:
        ann_file: COCO instances json whose `images` are repeated in the new file.
        out_file: Path of the new file; it is whole or absent.
        score_thr: Least score that is kept.
        max_per_img: Largest number of proposals of an image, the best ones.
        backend_args: Arguments of MMEngine's file backend for `ann_file`.
        **kwargs: As in mmengine's `BaseMetric`.

    Raises:
        FileNotFoundError: There is no such `ann_file`.
        ValueError: It is broken.
    """

    default_prefix = 'proposals'

    def __init__(
        self,
        ann_file: str,
        out_file: str,
        score_thr: float = 0.0,
        max_per_img: int = 100,
        backend_args: dict | None = None,
        **kwargs: object,
    ) -> None:
        super().__init__(**kwargs)
        self.images = load_coco_json(ann_file, ('images',), backend_args)['images']
        self.out_file = out_file
        self.score_thr = score_thr
        self.max_per_img = max_per_img

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Keep the proposals of a batch.

        Args:
            data_batch: Unused.
            data_samples: With `img_id` and `pred_instances` (`bboxes` xyxy, `scores`).
        """
        for sample in data_samples:
            found = sample['pred_instances']
            order = found['scores'].argsort(descending=True)[: self.max_per_img]
            order = order[found['scores'][order] >= self.score_thr]
            boxes, scores = found['bboxes'][order].tolist(), found['scores'][order].tolist()
            self.results.append((sample['img_id'], boxes, scores))

    def compute_metrics(self, results: list[tuple]) -> dict[str, float]:
        """Write the file.

        Args:
            results: Image id, boxes and scores of every image, of all processes.

        Returns:
            `per_image`: the mean number of proposals.
        """
        annotations = []
        for image_id, boxes, scores in results:
            for (x0, y0, x1, y1), score in zip(boxes, scores, strict=True):
                width, height = x1 - x0, y1 - y0
                annotations.append(
                    {
                        'id': len(annotations) + 1,
                        'image_id': image_id,
                        'category_id': 1,
                        'bbox': [x0, y0, width, height],
                        'area': width * height,
                        'iscrowd': 0,
                        'score': score,
                    }
                )
        content = {
            'images': self.images,
            'annotations': annotations,
            'categories': [{'id': 1, 'name': 'proposal'}],
        }
        save_json(content, self.out_file)
        print_log(f'{len(annotations)} proposals: {self.out_file}', logger='current')
        return {'per_image': len(annotations) / max(len(results), 1)}
