"""What turns cosines into detections: fusion weights, temperatures, thresholds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import Tensor

from clipself_mm.detection import FViT, fuse_scores
from clipself_mm.detection.topk_multiclass_nms import topk_multiclass_nms

from .proposal_cache import ImageProposals

_HEAD = 'model.roi_head.bbox_head'


@dataclass(frozen=True)
class ScoreSettings:
    """Settings of a detector that change no weight and no cosine.

    Attributes:
        alpha: Weight of CLIP in the scores of base classes.
        beta: Weight of CLIP in the scores of novel classes.
        detector_temperature: Factor on the detector's cosines; in the weights if it was learned.
        clip_temperature: Factor on CLIP's cosines.
        nms_iou: IoU of suppression.
        score_thr: Least score of a detection.
        max_per_img: Most detections of an image.
    """

    alpha: float
    beta: float
    detector_temperature: float
    clip_temperature: float
    nms_iou: float
    score_thr: float
    max_per_img: int

    @classmethod
    def of(cls, model: FViT) -> ScoreSettings:
        """The settings of a model.

        Raises:
            ValueError: Its NMS is of another type than 'nms'.
        """
        head, test = model.roi_head.bbox_head, model.roi_head.test_cfg
        if test.nms.get('type', 'nms') != 'nms':
            raise ValueError(f"model.test_cfg.rcnn.nms: expected type 'nms', got {test.nms}")
        return cls(
            float(head.alpha),
            float(head.beta),
            torch.as_tensor(head.fc_cls.temperature).item(),
            float(head.clip_temperature),
            float(test.nms.iou_threshold),
            float(test.score_thr),
            int(test.max_per_img),
        )

    def weights(self, novel: Tensor) -> Tensor:
        """Weight of CLIP per class and for the background, shape (K + 1).

        Args:
            novel: Whether each class had no boxes in training, bool of shape (K).
        """
        values = torch.where(novel, self.beta, self.alpha)
        return torch.cat([values, values.new_tensor([self.alpha])])

    def scores(self, image: ImageProposals, weights: Tensor) -> Tensor:
        """Scores as of `FViTBBoxHead.probabilities`, without background: shape (R, K)."""
        detector = (self.detector_temperature * image.detector).softmax(dim=-1)
        clip = (self.clip_temperature * image.clip).softmax(dim=-1)
        return fuse_scores(detector, clip, weights)[:, :-1]

    def suppress(self, boxes: Tensor, scores: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Boxes, scores and labels of the detections, best first, as of the box head."""
        nms = dict(type='nms', iou_threshold=self.nms_iou)
        return topk_multiclass_nms(boxes, scores, self.score_thr, nms, self.max_per_img)

    def detect(self, image: ImageProposals, novel: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Boxes in pixels of the source image, scores and labels of the detections, best first."""
        boxes, scores, labels = self.suppress(image.boxes, self.scores(image, self.weights(novel)))
        return boxes / image.scale, scores, labels

    def rounded(self) -> ScoreSettings:
        """With the digits that `options` writes."""
        floats = {k: float(f'{v:.4g}') for k, v in vars(self).items() if isinstance(v, float)}
        return replace(self, **cast(dict, floats))

    def changed(self, other: ScoreSettings) -> Sequence[str]:
        """Names of the settings that differ from another's."""
        return [key for key, value in vars(self).items() if value != getattr(other, key)]

    def options(self, current: ScoreSettings) -> dict[str, object]:
        """Config keys and values of what differs from the current settings.

        A learned temperature is in the weights; a fixed one takes its place.
        """
        keys: dict[str, dict[str, object]] = {
            'alpha': {f'{_HEAD}.alpha': self.alpha},
            'beta': {f'{_HEAD}.beta': self.beta},
            'clip_temperature': {f'{_HEAD}.clip_temperature': self.clip_temperature},
            'detector_temperature': {
                f'{_HEAD}.cls_predictor_cfg.temperature': self.detector_temperature,
                f'{_HEAD}.cls_predictor_cfg.learn_temperature': False,
            },
            'nms_iou': {'model.test_cfg.rcnn.nms.iou_threshold': self.nms_iou},
            'score_thr': {'model.test_cfg.rcnn.score_thr': self.score_thr},
        }
        chosen: dict[str, object] = {}
        for key in self.changed(current):
            chosen |= keys[key]
        return chosen
