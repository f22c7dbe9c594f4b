"""Region-text pairs on disk, as `RegionTextPairs` reads them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import torch
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from mmengine.registry import METRICS

from clipself_mm.datasets.annotations.coco_json import load_coco_json
from clipself_mm.io.atomic_write import save_json

from ..functional import annotation_file


@METRICS.register_module()
class RegionTextJsonWriter(BaseMetric):
    """Writes which noun each region was given, as a COCO-style json (paper, section A.4).

    An evaluator, so that `tools/test.py` makes the file, on one process or many. The categories
    are the data set's nouns (`metainfo['classes']`), ids from 1 in their order; `score` of an
    annotation is the cosine; boxes are in pixels of the original images, to hundredths.

    Args:
        out_file: Path of the new file; it is whole or absent.
        ann_file: COCO-style json whose `images` are repeated in the new file; by default the one
            that the data set itself was read from.
        min_score: Least cosine that is kept.
        max_per_img: Largest number of pairs of an image, the best ones; None keeps all.
        backend_args: Arguments of MMEngine's file backend for the json.
        **kwargs: As in mmengine's `BaseMetric`.
    """

    default_prefix = 'region_text'

    def __init__(
        self,
        *,
        out_file: str,
        ann_file: str | None = None,
        min_score: float = -1.0,
        max_per_img: int | None = None,
        backend_args: dict | None = None,
        **kwargs: object,
    ) -> None:
        super().__init__(**kwargs)
        self.ann_file = ann_file
        self.backend_args = backend_args
        self.out_file = out_file
        self.min_score = min_score
        self.max_per_img = max_per_img

    @cached_property
    def images(self) -> list[dict]:
        """The images of the json, read once."""
        path = annotation_file(self.ann_file, self.dataset_meta, type(self).__name__)
        return load_coco_json(path, ('images',), self.backend_args)['images']

    def process(self, data_batch: object, data_samples: Sequence[dict]) -> None:
        """Keep the pairs of a batch.

        Args:
            data_batch: Not used.
            data_samples: `RegionSample`s as dicts, with `img_id`, `scale`, `regions` (`boxes_px`)
                and `pred_regions` (`labels`, `scores`).

        Raises:
            FileNotFoundError: The json does not exist; found out at the first batch.
            ValueError: It is broken, or none is named.
        """
        _ = self.images
        for sample in data_samples:
            found = sample['pred_regions']
            order = found['scores'].argsort(descending=True, stable=True)[: self.max_per_img]
            order = order[found['scores'][order] >= self.min_score]
            corners = sample['regions']['boxes_px'][order].double() / sample['scale']
            boxes = torch.cat([corners[:, :2], corners[:, 2:] - corners[:, :2]], dim=1)
            labels, scores = found['labels'][order].tolist(), found['scores'][order].tolist()
            self.results.append((sample['img_id'], boxes.tolist(), labels, scores))

    def compute_metrics(self, results: list[tuple]) -> dict[str, float]:
        """Write the file.

        Args:
            results: Image id, boxes, labels and scores of every image, of all processes.

        Returns:
            `pairs`: how many there are; `nouns`: how many different ones; `per_image`: the mean
            number over the images that were looked at.

        Raises:
            ValueError: The data set does not name its nouns.
        """
        nouns = (self.dataset_meta or {}).get('classes')
        if nouns is None:
            raise ValueError("RegionTextJsonWriter needs the nouns as metainfo['classes']")
        annotations = []
        for image_id, boxes, labels, scores in results:
            for (x, y, width, height), label, score in zip(boxes, labels, scores, strict=True):
                annotations.append(
                    {
                        'id': len(annotations) + 1,
                        'image_id': image_id,
                        'category_id': label + 1,
                        'bbox': [round(edge, 2) for edge in (x, y, width, height)],
                        'area': round(width * height, 2),
                        'iscrowd': 0,
                        'score': round(score, 5),
                    }
                )
        content = {
            'images': self.images,
            'annotations': annotations,
            'categories': [{'id': i, 'name': name} for i, name in enumerate(nouns, start=1)],
        }
        save_json(content, self.out_file)
        print_log(f'{len(annotations)} region-text pairs: {self.out_file}', logger='current')
        return {
            'pairs': len(annotations),
            'nouns': len({entry['category_id'] for entry in annotations}),
            'per_image': len(annotations) / max(len(results), 1),
        }
