"""AP50 of many settings on the same proposals.

A class is scored with alpha or with beta, never with both, and NMS is per class. So the detections
of base classes are made once per alpha, those of novel classes once per beta; a pair only merges
them and keeps the best `max_per_img` of an image.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor

from clipself_mm.evaluation.functional import (
    BoxTruth,
    average_precision,
    match_boxes,
    mean_where_annotated,
    overlaps,
)

from .proposal_cache import ImageProposals
from .score_settings import ScoreSettings


@dataclass(frozen=True, eq=False)
class MatchedDetections:
    """N detections of several images, matched with their objects.

    Attributes:
        images: Position of the image, ascending, shape (N).
        labels: Shape (N).
        scores: Shape (N).
        outcomes: See `match_boxes`, shape (N).
    """

    images: np.ndarray
    labels: np.ndarray
    scores: np.ndarray
    outcomes: np.ndarray

    def __getitem__(self, index: np.ndarray) -> MatchedDetections:
        """A selection, in the given order."""
        return MatchedDetections(*(values[index] for values in vars(self).values()))

    @classmethod
    def joined(cls, parts: Sequence[MatchedDetections]) -> MatchedDetections:
        """All parts, in the order of their images, each image's best scores first."""
        names = ('images', 'labels', 'scores', 'outcomes')
        columns = [np.concatenate([getattr(part, name) for part in parts]) for name in names]
        return cls(*columns)[np.lexsort((-columns[2], columns[0]))]

    def best(self, limit: int) -> MatchedDetections:
        """At most `limit` of each image; the order is that of `joined`."""
        starts = np.searchsorted(self.images, self.images)
        return self[np.arange(len(self.images)) - starts < limit]


class Sweep:
    """Measures settings on proposals in memory.

    Args:
        images: Their proposals.
        truth: The boxes of each image, None if it has none.
        novel: Whether each class had no boxes in training, bool of shape (K).
        splits: Name of a split to its labels, see `OpenVocabCocoMetric`.
        limit: Detections per image and class, COCO's highest.
    """

    def __init__(
        self,
        images: Sequence[ImageProposals],
        truth: Sequence[BoxTruth | None],
        novel: Tensor,
        splits: Mapping[str, Sequence[int]],
        limit: int = 100,
    ) -> None:
        self.images = images
        self.truth = truth
        self.novel = novel
        self.splits = splits
        self.limit = limit
        self.counts = np.zeros(len(novel), int)
        for boxes in truth:
            if boxes is not None:
                self.counts += np.bincount(boxes.labels[~boxes.crowd], minlength=len(novel))

    def match(self, settings: ScoreSettings, classes: Tensor) -> MatchedDetections:
        """Detections of some classes.

        Args:
            settings: What makes them.
            classes: Their labels.
        """
        weights = settings.weights(self.novel)
        parts = []
        for number, (image, truth) in enumerate(zip(self.images, self.truth, strict=True)):
            scores = settings.scores(image, weights)[:, classes]
            boxes, best, index = settings.suppress(image.boxes, scores)
            labels = classes[index].numpy()
            outcomes = np.zeros(len(labels), int)
            if truth is not None:
                iou = overlaps((boxes / image.scale).numpy(), truth)
                outcomes, _ = match_boxes(iou, labels, truth)
            where = np.full(len(labels), number)
            parts.append(MatchedDetections(where, labels, best.numpy(), outcomes))
        return MatchedDetections.joined(parts)

    def merge(self, parts: Sequence[MatchedDetections], most: int) -> MatchedDetections:
        """The best detections per image of disjoint classes, as one NMS of all would keep."""
        merged = MatchedDetections.joined(parts)
        return merged.best(most) if most > 0 else merged

    def ap50(self, found: MatchedDetections) -> dict[str, float]:
        """AP50 per split, fractions; -1 if none of its classes is annotated."""
        order = np.lexsort((found.labels, found.images))
        ranked = found[order]  # scores stay in order within an image and class
        key = ranked.images * (len(self.counts) + 1) + ranked.labels
        ranked = ranked[np.arange(len(key)) - np.searchsorted(key, key) < self.limit]
        values = average_precision(ranked.scores, ranked.outcomes, ranked.labels, self.counts)
        return {
            split: mean_where_annotated(values[list(labels)])
            for split, labels in self.splits.items()
        }

    def groups(self) -> tuple[Tensor, Tensor]:
        """Labels that alpha weighs, and those that beta weighs."""
        return (~self.novel).nonzero().flatten(), self.novel.nonzero().flatten()

    def measure(self, settings: ScoreSettings) -> dict[str, float]:
        """AP50 per split of one setting."""
        parts = [self.match(settings, group) for group in self.groups() if len(group)]
        return self.ap50(self.merge(parts, settings.max_per_img))

    def grid(
        self,
        settings: ScoreSettings,
        alphas: Sequence[float],
        betas: Sequence[float],
        step: Callable[[], None] = lambda: None,
    ) -> dict[tuple[float, float], dict[str, float]]:
        """AP50 per split of all pairs of alpha and beta.

        Args:
            settings: All others.
            alphas: Weights of base classes.
            betas: Weights of novel classes; ignored without novel classes.
            step: Called after each pass over the images.

        Returns:
            (alpha, beta) to AP50 per split.
        """
        seen, unseen = self.groups()
        by_alpha: dict[float, list[MatchedDetections]] = {}
        by_beta: dict[float, list[MatchedDetections]] = {}
        for alpha in alphas:
            by_alpha[alpha] = [self.match(replace(settings, alpha=alpha), seen)]
            step()
        if not len(unseen):
            betas = [settings.beta]
            by_beta[settings.beta] = []
        for beta in betas if len(unseen) else ():
            by_beta[beta] = [self.match(replace(settings, beta=beta), unseen)]
            step()
        return {
            (alpha, beta): self.ap50(
                self.merge([*by_alpha[alpha], *by_beta[beta]], settings.max_per_img)
            )
            for alpha in alphas
            for beta in betas
        }
