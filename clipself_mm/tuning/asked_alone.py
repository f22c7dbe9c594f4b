"""Novel classes asked for one at a time, as a user does: with and without negatives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from clipself_mm.evaluation.functional import HIT, BoxTruth

from .proposal_cache import ImageProposals
from .score_settings import ScoreSettings
from .sweep import MatchedDetections, Sweep


@dataclass(frozen=True)
class AskedAlone:
    """Numbers of all classes together, each asked for alone in every image.

    Attributes:
        ap50: Mean AP50 of the classes.
        precision: Share of hits at each threshold of the score.
        recall: Share of found objects at each threshold.
    """

    ap50: float
    precision: dict[float, float]
    recall: dict[float, float]


def ask_alone(
    sweep: Sweep,
    settings: ScoreSettings,
    labels: Sequence[int],
    negatives: Sequence[int],
    score_thrs: Sequence[float] = (0.3, 0.5),
    step: Callable[[], None] = lambda: None,
) -> AskedAlone:
    """Measure classes as if each was the only one that is asked for.

    Args:
        sweep: Its images and boxes.
        settings: What makes detections.
        labels: The classes; those without objects are left out.
        negatives: Classes that take part in the softmax, but are not detected.
        score_thrs: Thresholds of precision and recall.
        step: Called after each class.
    """
    asked = [label for label in labels if sweep.counts[label]]
    values, found = [], []
    for label in asked:
        single, detections = _ask(sweep, settings, label, negatives)
        values.append(single.ap50(detections)['all'])
        found.append(detections)
        step()
    scores = np.concatenate([detections.scores for detections in found])
    hits = np.concatenate([detections.outcomes for detections in found]) == HIT
    objects = sweep.counts[asked].sum()
    at = {value: scores >= value for value in score_thrs}
    return AskedAlone(
        float(np.mean(values)),
        {value: float(hits[kept].mean()) if kept.any() else 0.0 for value, kept in at.items()},
        {value: float(hits[kept].sum() / objects) for value, kept in at.items()},
    )


def _ask(
    sweep: Sweep, settings: ScoreSettings, label: int, negatives: Sequence[int]
) -> tuple[Sweep, MatchedDetections]:
    """A sweep of one class and negatives, and the detections of the class."""
    others = [other for other in negatives if other != label]
    columns = torch.tensor([label, *others, len(sweep.novel)])
    single = Sweep(
        [_columns(image, columns) for image in sweep.images],
        [None if truth is None else _objects(truth, label) for truth in sweep.truth],
        sweep.novel[columns[:-1]],
        {'all': [0]},
        sweep.limit,
    )
    return single, single.match(settings, torch.tensor([0]))


def _columns(image: ImageProposals, columns: torch.Tensor) -> ImageProposals:
    return replace(image, detector=image.detector[:, columns], clip=image.clip[:, columns])


def _objects(truth: BoxTruth, label: int) -> BoxTruth:
    """The objects of one class, as label 0."""
    own = truth.labels == label
    return BoxTruth(truth.boxes_xywh[own], np.zeros(own.sum(), int), truth.crowd[own])
