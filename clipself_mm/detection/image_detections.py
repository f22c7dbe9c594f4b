"""Objects that were detected in one image, and their forms in other libraries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pycocotools.mask as coco_mask
from mmdet.structures import DetDataSample
from mmdet.structures.mask import encode_mask_results

if TYPE_CHECKING:
    import supervision


@dataclass(frozen=True, eq=False)
class ImageDetections:
    """N objects of one image, the highest score first.

    Attributes:
        path: Path or URL of the image, None if it has none.
        file_name: The path below the folder that was given, or the file's name; '' without a path.
        size: Width and height of the image in pixels.
        classes: The K class names that were looked for.
        labels: Indices into `classes`, int64 of shape (N).
        boxes: (x0, y0, x1, y1) in pixels of the image, float32 of shape (N, 4).
        scores: Float32 of shape (N), in 0-1.
        segmentations: A mask per object as COCO's RLE; None without a mask head.
    """

    path: str | None
    file_name: str
    size: tuple[int, int]
    classes: tuple[str, ...]
    labels: np.ndarray
    boxes: np.ndarray
    scores: np.ndarray
    segmentations: list[dict[str, Any]] | None = None

    def __len__(self) -> int:
        """Number of objects."""
        return len(self.labels)

    @property
    def names(self) -> list[str]:
        """Class name of each object."""
        return [self.classes[label] for label in self.labels]

    @property
    def masks(self) -> np.ndarray | None:
        """Masks, bool of shape (N, height, width); None without a mask head."""
        if self.segmentations is None:
            return None
        if not self.segmentations:
            return np.zeros((0, *self.size[::-1]), bool)
        return coco_mask.decode(self.segmentations).astype(bool).transpose(2, 0, 1)

    def to_coco(
        self, image_id: int | str | None = None, category_ids: Mapping[str, int] | None = None
    ) -> list[dict[str, Any]]:
        """Entries of a COCO results file, which `COCO.loadRes` reads.

        Args:
            image_id: The image's id in the json of the data set; by default `file_name`.
            category_ids: Class name to its id there; by default 1 to K, in the order of `classes`.

        Returns:
            Per object `image_id`, `file_name`, `category_id`, `category_name`, `bbox` (x, y, width,
            height in pixels), `score`, and with a mask head `segmentation`.

        Raises:
            ValueError: The image has no file and no id was given, or a class has no id.
        """
        if image_id is None and not self.file_name:
            raise ValueError('to_coco: the image has no file name, give image_id')
        if category_ids is None:
            category_ids = {name: number for number, name in enumerate(self.classes, start=1)}
        if missing := sorted({*self.names} - {*category_ids}):
            raise ValueError(f'to_coco: category_ids has no id of {missing[:5]}')
        entries = []
        for number, name in enumerate(self.names):
            x0, y0, x1, y1 = self.boxes[number].tolist()
            entry: dict[str, Any] = {
                'image_id': self.file_name if image_id is None else image_id,
                'file_name': self.file_name,
                'category_id': category_ids[name],
                'category_name': name,
                'bbox': [x0, y0, x1 - x0, y1 - y0],
                'score': float(self.scores[number]),
            }
            if self.segmentations is not None:
                entry['segmentation'] = self.segmentations[number]
            entries.append(entry)
        return entries

    def to_supervision(self) -> supervision.Detections:
        """The objects for `supervision`: its annotators, trackers, zones and data sets.

        Raises:
            ImportError: supervision is not installed.
        """
        try:
            from supervision import Detections
        except ImportError as error:
            raise ImportError(
                "to_supervision needs supervision: pip install 'clipself_mm[supervision]'"
            ) from error
        return Detections(
            xyxy=self.boxes,
            mask=self.masks,
            confidence=self.scores,
            class_id=self.labels,
            data={'class_name': np.array(self.names, dtype=str)},
        )


def of_sample(sample: DetDataSample, classes: tuple[str, ...], score_thr: float) -> ImageDetections:
    """The detections of an `OpenVocabInferencer`'s sample.

    Args:
        sample: Prediction with `img_path`, `output_name` and `ori_shape`.
        classes: The classes that were looked for.
        score_thr: Least score.
    """
    found = sample.pred_instances.detach().cpu().numpy()
    found = found[np.argsort(-found.scores, kind='stable')]
    found = found[found.scores >= score_thr]
    segmentations = None
    if 'masks' in found:
        segmentations = [
            {'size': [*map(int, rle['size'])], 'counts': rle['counts'].decode()}
            for rle in encode_mask_results(found.masks)
        ]
    height, width = sample.ori_shape[:2]
    return ImageDetections(
        path=sample.img_path,
        file_name=sample.output_name,
        size=(int(width), int(height)),
        classes=classes,
        labels=found.labels.astype(np.int64),
        boxes=found.bboxes.astype(np.float32).reshape(-1, 4),
        scores=found.scores.astype(np.float32),
        segmentations=segmentations,
    )
