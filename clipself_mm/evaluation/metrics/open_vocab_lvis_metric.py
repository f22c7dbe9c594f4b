"""LVIS average precision of rare, common and frequent classes, with federated ground truth."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from mmengine.registry import METRICS

from ..functional import LVIS_KEYS
from .open_vocab_coco_metric import OpenVocabCocoMetric

if TYPE_CHECKING:
    from faster_coco_eval import COCO

_FREQUENCIES = ('r', 'c', 'f')
_CLASSES_AT_ONCE = 50
"""The evaluator needs 1 kB per image and class: 24 GB for LVIS, 1 GB for 50 classes."""


def top_detections(detections: Sequence[dict], limit: int) -> list[dict]:
    """Keep the best detections per image, over all classes, as LVIS does.

    Args:
        detections: With `image_id` and `score`.
        limit: Detections to keep per image.

    Returns:
        The kept detections, image by image; ties keep the given order.
    """
    by_image = defaultdict(list)
    for detection in detections:
        by_image[detection['image_id']].append(detection)
    return [
        detection
        for group in by_image.values()
        for detection in sorted(group, key=lambda entry: -entry['score'])[:limit]
    ]


@METRICS.register_module()
class OpenVocabLVISMetric(OpenVocabCocoMetric):
    """LVIS AP with federated ground truth, by faster-coco-eval.

    A class is evaluated in an image only if it is annotated there or listed in the image's
    `neg_category_ids`. Unmatched detections of a class in `not_exhaustive_category_ids` are
    ignored. The result has, per kind of prediction, `ap`, `ap50`, `ap75`, `ap_s`, `ap_m`, `ap_l`,
    `ar300`, `ar_s`, `ar_m`, `ar_l` over all classes and `apr`, `apc`, `apf` over rare (in OV-LVIS:
    novel), common and frequent classes: `lvis/segm_apr`, `lvis/bbox_ap`. The values are fractions,
    not rounded, -1 if nothing is annotated.

    Args:
        ann_file: LVIS json with every class of the data set, by default that of the data set. Its
            categories have `frequency`.
        metric: `bbox`, `segm` or a list of both.
        max_dets: Detections per image, those with the highest scores.
        **kwargs: As in `OpenVocabCocoMetric`, without `proposal_nums`.

    Raises:
        ValueError: The json lacks the fields that LVIS adds to COCO.
    """

    default_prefix = 'lvis'
    federated = True

    def __init__(
        self,
        ann_file: str | None = None,
        metric: str | Sequence[str] = ('bbox', 'segm'),
        max_dets: int = 300,
        **kwargs: Any,
    ) -> None:
        super().__init__(ann_file, metric, proposal_nums=(max_dets,), **kwargs)

    def check_content(self, content: dict) -> None:
        """Check the fields that LVIS adds to COCO.

        Args:
            content: Content of the json.
        """
        super().check_content(content)
        for entry in content['categories']:
            if entry.get('frequency') not in _FREQUENCIES:
                raise ValueError(
                    f'{self.ann_file}: category {entry["name"]!r} has frequency '
                    f"{entry.get('frequency')!r}, expected 'r', 'c' or 'f'"
                )
        for image in content['images']:
            for key in LVIS_KEYS:
                ids = image.get(key)
                kind = type(content['categories'][0]['id'])
                if not isinstance(ids, list) or any(type(number) is not kind for number in ids):
                    raise ValueError(
                        f'{self.ann_file}: {key} of image {image["id"]} is {ids!r:.80}, LVIS '
                        'requires a list of category ids, of the type of those of the categories'
                    )

    def index_content(self, content: dict) -> COCO:
        """faster-coco-eval's index of the json."""
        from faster_coco_eval import COCO

        return COCO(content)

    def split_classes(self) -> dict[str, list[int]]:
        """Labels of all classes and per frequency, from the json."""
        frequency = [entry['frequency'] for entry in self._coco_api.dataset['categories']]
        labels = {
            split: [label for label, value in enumerate(frequency) if value == split]
            for split in _FREQUENCIES
        }
        return {**labels, 'all': list(range(len(frequency)))}

    def precision_recall(self, kind: str, detections: list[dict]) -> tuple[np.ndarray, np.ndarray]:
        """Match detections with the ground truth, some classes at a time.

        Args:
            kind: `bbox` or `segm`.
            detections: Detections in COCO's format.

        Returns:
            Precision (T, R, K, A, 1) and recall (T, K, A, 1), class i at index i of axis K.
        """
        evaluated = self._evaluated_pairs()
        by_class = defaultdict(list)
        for detection in top_detections(detections, self.proposal_nums[0]):
            if (detection['image_id'], detection['category_id']) in evaluated:
                by_class[detection['category_id']].append(detection)
        cat_ids = [label + 1 for label in range(len(self.cat_ids))]
        parts = []
        for start in range(0, len(cat_ids), _CLASSES_AT_ONCE):
            chosen = cat_ids[start : start + _CLASSES_AT_ONCE]
            of_chosen = [detection for key in chosen for detection in by_class[key]]
            parts.append(self._evaluate_classes(kind, of_chosen, chosen))
        precision = np.concatenate([part['precision'] for part in parts], axis=2)
        recall = np.concatenate([part['recall'] for part in parts], axis=1)
        return precision, recall

    def name_numbers(
        self, kind: str, numbers: Mapping[str, Mapping[str, float]]
    ) -> dict[str, float]:
        """All numbers over all classes, and the AP per frequency."""
        named = {f'{kind}_{name}': value for name, value in numbers['all'].items()}
        named.update({f'{kind}_ap{split}': numbers[split]['ap'] for split in _FREQUENCIES})
        return named

    def _evaluated_pairs(self) -> set[tuple[int, int]]:
        """Pairs of image id and category id that are annotated or verified as absent.

        faster-coco-eval 1.8 ignores detections of other pairs itself, but raises IndexError if an
        image has only such detections and they have masks.
        """
        content = self._coco_api.dataset
        present = {(entry['image_id'], entry['category_id']) for entry in content['annotations']}
        absent = {
            (image['id'], key) for image in content['images'] for key in image['neg_category_ids']
        }
        return present | absent

    def _evaluate_classes(
        self, kind: str, detections: list[dict], cat_ids: list[int]
    ) -> dict[str, np.ndarray]:
        """Precision and recall of some classes, in the order of their ids."""
        from faster_coco_eval import COCOeval_faster

        loaded = self._coco_api.loadRes(detections)
        evaluator = COCOeval_faster(self._coco_api, loaded, kind, lvis_style=True)
        evaluator.params.catIds = cat_ids
        evaluator.params.imgIds = self.img_ids
        evaluator.params.maxDets = self.proposal_nums
        evaluator.evaluate()
        evaluator.accumulate()
        return {key: np.asarray(evaluator.eval[key]) for key in ('precision', 'recall')}
