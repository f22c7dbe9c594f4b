"""Writes region-text pairs for the `RegionTextPairs` data set."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import torch
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from mmengine.registry import METRICS

from clipself_mm.datasets.annotations.coco_json import load_coco_json
from clipself_mm.io.atomic_write import check_output, save_json

from ..functional import annotation_file


@METRICS.register_module()
class RegionTextJsonWriter(BaseMetric):
    """Writes the noun of each region as a COCO-style json (paper, section A.4).

    An evaluator, so `tools/test.py` writes the file, with one process or several. The categories
    are the nouns of the data set (`metainfo['classes']`), with ids from 1 in their order. `score`
    of an annotation is the cosine. Boxes are in source pixels, rounded to 0.01.

    Args:
        out_file: Output path (written atomically).
        ann_file: COCO-style json whose `images` are copied to the output; by default the
            annotation file of the data set.
        min_score: Lowest cosine to keep.
        max_per_img: Pairs per image, those with the highest cosines; None keeps all.
        backend_args: Arguments of mmengine's file backend for the json.
        **kwargs: As in mmengine's `BaseMetric`.

    Raises:
        OSError: `out_file` is a folder, or its folder cannot be written.
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
        check_output(out_file, f'{type(self).__name__}.out_file')
        self.ann_file = ann_file
        self.backend_args = backend_args
        self.out_file = out_file
        self.min_score = min_score
        self.max_per_img = max_per_img

    @cached_property
    def images(self) -> list[dict]:
        """`images` of the json, read once."""
        path = annotation_file(self.ann_file, self.dataset_meta, type(self).__name__)
        return load_coco_json(path, ('images',), self.backend_args)['images']

    def process(self, data_batch: object, data_samples: Sequence[dict]) -> None:
        """Keep the pairs of a batch.

        Args:
            data_batch: Not used.
            data_samples: `RegionSample`s as dicts, with `img_id`, `scale`, `regions` (`boxes_px`)
                and `pred_regions` (`labels`, `scores`).

        Raises:
            FileNotFoundError: The json does not exist; raised at the first batch.
            ValueError: The json is broken, or neither metric nor data set has an `ann_file`.
        """
        _ = self.images
        for sample in data_samples:
            predicted = sample['pred_regions']
            order = predicted['scores'].argsort(descending=True, stable=True)[: self.max_per_img]
            order = order[predicted['scores'][order] >= self.min_score]
            corners = sample['regions']['boxes_px'][order].double() / sample['scale']
            boxes = torch.cat([corners[:, :2], corners[:, 2:] - corners[:, :2]], dim=1)
            labels = predicted['labels'][order].tolist()
            scores = predicted['scores'][order].tolist()
            self.results.append((sample['img_id'], boxes.tolist(), labels, scores))

    def compute_metrics(self, results: list[tuple]) -> dict[str, float]:
        """Write the file.

        Args:
            results: Image id, boxes, labels and scores of every image, of all processes.

        Returns:
            `pairs`: number of pairs; `nouns`: number of distinct nouns; `per_image`: mean number of
            pairs per image.
        """
        nouns = (self.dataset_meta or {}).get('classes')
        if nouns is None:
            raise ValueError(
                "RegionTextJsonWriter needs the nouns as metainfo['classes'] of the data set"
            )
        annotations: list[dict] = []
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
