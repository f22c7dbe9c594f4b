"""LVIS average precision: rare, common and frequent classes, by federated ground truth."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from mmengine.registry import METRICS

from .open_vocab_coco_metric import OpenVocabCocoMetric

if TYPE_CHECKING:
    from faster_coco_eval import COCO

_FREQUENCIES = ('r', 'c', 'f')
_CLASSES_AT_ONCE = 50
"""The evaluator takes 1 kB for each image and class: 24 GB for LVIS, 1 GB for 50 classes."""


def top_detections(detections: Sequence[dict], limit: int) -> list[dict]:
    """Keep the best detections of each image, over all classes together, as LVIS does.

    Args:
        detections: With `image_id` and `score`.
        limit: Detections to keep of an image.

    Returns:
        The kept ones, image by image; among equal scores those that came first.
    """
    of_image = defaultdict(list)
    for detection in detections:
        of_image[detection['image_id']].append(detection)
    return [
        detection
        for found in of_image.values()
        for detection in sorted(found, key=lambda entry: -entry['score'])[:limit]
    ]


@METRICS.register_module()
class OpenVocabLVISMetric(OpenVocabCocoMetric):
    """LVIS AP through faster-coco-eval, whose ground truth is federated.

    In an image, a class is judged only if it is annotated there or listed in the image's
    `neg_category_ids`; of a class in `not_exhaustive_category_ids`, detections without a match
    do not count. The answer holds for each kind of prediction `ap`, `ap50`, `ap75`, `ap_s`,
    `ap_m`, `ap_l`, `ar300`, `ar_s`, `ar_m`, `ar_l` over all classes and `apr`, `apc`, `apf` over
    the rare (in OV-LVIS: novel), common and frequent ones: `lvis/segm_apr`, `lvis/bbox_ap`.
    Fractions, not rounded, -1 where nothing was annotated.

    Args:
        ann_file: LVIS json with every class of the data set; its categories have `frequency`. By
            default the one that the data set itself was read from.
        metric: `bbox`, `segm` or a list of both.
        max_dets: Detections of an image that count, those with the highest scores.
        **kwargs: As in `OpenVocabCocoMetric`, but for `proposal_nums`.

    Raises:
        ValueError: If the json lacks what LVIS adds to COCO; names the file.
    """

    default_prefix = 'lvis'

    def __init__(
        self,
        ann_file: str | None = None,
        metric: str | Sequence[str] = ('bbox', 'segm'),
        max_dets: int = 300,
        **kwargs: object,
    ) -> None:
        super().__init__(ann_file, metric, proposal_nums=(max_dets,), **kwargs)

    def check_content(self, content: dict) -> None:
        """Make sure that the json is a federated one.

        Args:
            content: Content of the json.

        Raises:
            ValueError: If a category or an image lacks what LVIS asks of it; names the file.
        """
        super().check_content(content)
        for entry in content['categories']:
            if entry.get('frequency') not in _FREQUENCIES:
                raise ValueError(
                    f'{self.ann_file}: category {entry["name"]!r} has frequency '
                    f"{entry.get('frequency')!r}, LVIS has 'r', 'c' or 'f'"
                )
        for image in content['images']:
            for key in ('neg_category_ids', 'not_exhaustive_category_ids'):
                if key not in image:
                    raise ValueError(
                        f'{self.ann_file}: image {image["id"]} has no {key}, which LVIS needs'
                    )

    def index_content(self, content: dict) -> COCO:
        """Return faster-coco-eval's index of the json's content."""
        from faster_coco_eval import COCO

        return COCO(content)

    def split_classes(self) -> dict[str, list[int]]:
        """Labels of all classes and of each frequency, from the json."""
        frequency = [self._coco_api.cats[key]['frequency'] for key in self.cat_ids]
        labels = {
            split: [label for label, value in enumerate(frequency) if value == split]
            for split in _FREQUENCIES
        }
        return {**labels, 'all': list(range(len(frequency)))}

    def precision_recall(self, kind: str, detections: list[dict]) -> tuple[np.ndarray, np.ndarray]:
        """Match detections with the federated ground truth, some classes at a time.

        Args:
            kind: `bbox` or `segm`.
            detections: Detections in COCO's format.

        Returns:
            Precision (T, R, K, A, 1) and recall (T, K, A, 1), class i at index i of axis K.
        """
        judged = self._judged_pairs()
        of_class = defaultdict(list)
        for detection in top_detections(detections, self.proposal_nums[0]):
            if (detection['image_id'], detection['category_id']) in judged:
                of_class[detection['category_id']].append(detection)
        cat_ids = sorted(self.cat_ids)
        parts = []
        for start in range(0, len(cat_ids), _CLASSES_AT_ONCE):
            chosen = cat_ids[start : start + _CLASSES_AT_ONCE]
            found = [detection for key in chosen for detection in of_class[key]]
            parts.append(self._evaluate_classes(kind, found, chosen))
        order = np.searchsorted(cat_ids, self.cat_ids)
        precision = np.concatenate([part['precision'] for part in parts], axis=2)
        recall = np.concatenate([part['recall'] for part in parts], axis=1)
        return precision[:, :, order], recall[:, order]

    def name_numbers(
        self, kind: str, numbers: Mapping[str, Mapping[str, float]]
    ) -> dict[str, float]:
        """Everything over all classes, and the AP of each frequency."""
        named = {f'{kind}_{name}': value for name, value in numbers['all'].items()}
        named.update({f'{kind}_ap{split}': numbers[split]['ap'] for split in _FREQUENCIES})
        return named

    def _judged_pairs(self) -> set[tuple[int, int]]:
        """Image and category ids that are annotated together or verified as absent.

        faster-coco-eval 1.8 leaves out detections of other pairs too, but a mask among them, in
        an image without any other, ends it with an IndexError.
        """
        content = self._coco_api.dataset
        found = {(entry['image_id'], entry['category_id']) for entry in content['annotations']}
        absent = {
            (image['id'], key) for image in content['images'] for key in image['neg_category_ids']
        }
        return found | absent

    def _evaluate_classes(
        self, kind: str, detections: list[dict], cat_ids: list[int]
    ) -> dict[str, np.ndarray]:
        """The evaluator's arrays for some classes, in the order of their ids."""
        from faster_coco_eval import COCOeval_faster

        found = self._coco_api.loadRes(detections)
        judge = COCOeval_faster(self._coco_api, found, kind, lvis_style=True)
        judge.params.catIds = cat_ids
        judge.params.imgIds = self.img_ids
        judge.params.maxDets = self.proposal_nums
        judge.evaluate()
        judge.accumulate()
        return {key: np.asarray(judge.eval[key]) for key in ('precision', 'recall')}
