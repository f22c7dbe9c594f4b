"""A detector on its test data: choice of settings, measurement, thresholds of its classes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import METRICS

from clipself_mm.detection import FViT
from clipself_mm.evaluation import OpenVocabCocoMetric
from clipself_mm.evaluation.functional import (
    HIT,
    IGNORED,
    BoxTruth,
    ImageErrors,
    image_errors,
    threshold_for_precision,
    truth_by_image,
)

from .asked_alone import AskedAlone, ask_alone
from .choice import Choice, Protocol, choose_settings
from .proposal_cache import ImageProposals, ProposalCache
from .score_settings import ScoreSettings
from .sweep import Sweep

_NEVER = 1.01
"""Threshold of a class that does not reach the wanted precision; no score is above 1."""


@dataclass(frozen=True, eq=False)
class Measured:
    """Detections of some images under one setting.

    Attributes:
        settings: The settings.
        metrics: All numbers of `OpenVocabCocoMetric`.
        errors: Detections per image with their kind of error.
        boxes: Boxes per image.
        counts: Objects per class, shape (K).
    """

    settings: ScoreSettings
    metrics: dict[str, float]
    errors: list[ImageErrors]
    boxes: list[np.ndarray]
    counts: np.ndarray

    def columns(self, images: slice = slice(None)) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Scores, outcomes and labels of all detections of some images."""
        errors = self.errors[images]
        return (
            np.concatenate([item.scores for item in errors]),
            np.concatenate([item.outcomes for item in errors]),
            np.concatenate([item.labels for item in errors]),
        )


class Tuning:
    """A detector, the proposals of its test data, and their boxes.

    Args:
        config: Config of the detector.
        model: The detector with its weights, in eval mode.
        cache: Folder of the caches.

    Raises:
        FileNotFoundError: The test data are missing.
        ValueError: Its classes are not those of the test data, or the test evaluator has no
            `OpenVocabCocoMetric` of boxes.
    """

    def __init__(self, config: Config, model: FViT, cache: str | Path) -> None:
        self.metric = _box_metric(config)
        self.cache = ProposalCache(cache, config, model)
        classes = tuple(self.cache.dataset.metainfo['classes'])
        if classes != model.classes:
            raise ValueError(
                f'test_dataloader.dataset: its {len(classes)} classes are not the '
                f'{len(model.classes)} of model.roi_head.bbox_head.vocabulary'
            )
        self.metric.dataset_meta = self.cache.dataset.metainfo
        self.current = ScoreSettings.of(model)
        self.classes: tuple[str, ...] = model.classes
        trained = model.roi_head.bbox_head.train_vocabulary
        seen = set(trained.base or trained.classes)
        self.novel = torch.tensor([name not in seen for name in model.classes])
        self._truth = truth_by_image(self.metric.annotations)

    def truth(self, image: ImageProposals) -> BoxTruth | None:
        """The boxes of an image."""
        return self._truth.get(self.metric.number_of[image.image_id])

    def sweep(self, images: Sequence[ImageProposals]) -> Sweep:
        """A sweep over some images."""
        truth = [self.truth(image) for image in images]
        limit = self.metric.proposal_nums[-1]
        return Sweep(images, truth, self.novel, self.metric.splits, limit)

    def scored(self, protocol: Protocol) -> Iterator[ImageProposals]:
        """The images whose numbers are given: all, or those that do not choose."""
        for number, image in enumerate(self.cache):
            if protocol is not Protocol.HALF or number % 2:
                yield image

    def choosing(self, protocol: Protocol, most: int) -> list[ImageProposals]:
        """At most `most` of the images that choose, evenly spaced."""
        step = 2 if protocol is Protocol.HALF else 1
        available = range(0, self.cache.images, step)
        stride = max(1, -(-len(available) // most))
        wanted = set(available[::stride])
        return [image for number, image in enumerate(self.cache) if number in wanted]

    def choose(
        self,
        protocol: Protocol,
        most: int = 500,
        step: Callable[[], None] = lambda: None,
    ) -> Choice:
        """Choose settings.

        Args:
            protocol: Which annotations choose.
            most: Most images of the sweep.
            step: Called after each pass over the images, at most `PASSES` times.

        Raises:
            ValueError: No image is left to measure on, or no object of these images may choose.
        """
        if protocol is Protocol.HALF and self.cache.images < 2:
            raise ValueError('--choose-on half: the test data have one image only')
        sweep = self.sweep(self.choosing(protocol, most))
        base = self.metric.splits.get('base', ()) if protocol is Protocol.BASE else ()
        if not sweep.counts[list(base) or slice(None)].sum():
            kind = 'a base class' if base else 'any class'
            raise ValueError(
                f'--choose-on {protocol.value}: the {len(sweep.images)} images that choose have no '
                f'object of {kind}'
            )
        return choose_settings(sweep, self.current, protocol, step)

    def measure(self, settings: ScoreSettings, protocol: Protocol) -> Measured:
        """Detections and numbers of a setting, as `tools/test.py` gives them.

        Args:
            settings: The settings.
            protocol: Of the images, see `scored`.
        """
        predictions, errors, boxes = [], [], []
        counts = np.zeros(len(self.classes), int)
        for image in self.scored(protocol):
            truth = self.truth(image)
            if truth is not None:
                counts += np.bincount(truth.labels[~truth.crowd], minlength=len(counts))
            placed, scores, labels = (p.numpy() for p in settings.detect(image, self.novel))
            predictions.append(
                dict(img_id=image.image_id, bboxes=placed, scores=scores, labels=labels)
            )
            errors.append(image_errors(placed, scores, labels, truth))
            boxes.append(placed)
        metrics = self.metric.compute_metrics([({}, prediction) for prediction in predictions])
        return Measured(settings, metrics, errors, boxes, counts)

    def thresholds(
        self, measured: Measured, precision: float, images: slice = slice(None)
    ) -> dict[str, float]:
        """Score thresholds for a wanted precision.

        Args:
            measured: Detections.
            precision: Wanted share of hits.
            images: Those whose detections are used.

        Returns:
            Class name to threshold. A class without annotated objects has that of its split; one
            that does not reach the precision has 1.01, which no score reaches.
        """
        scores, outcomes, labels = measured.columns(images)
        result = {}
        for label, name in enumerate(self.classes):
            own = labels == label
            if not measured.counts[label]:
                own = self.novel.numpy()[labels] == bool(self.novel[label])
            found = threshold_for_precision(scores[own], outcomes[own], precision)
            # Rounded down, so that the detection that gave it stays.
            result[name] = _NEVER if found is None else np.floor(found * 1e4) / 1e4
        return result

    def precision_elsewhere(self, measured: Measured, precision: float) -> float:
        """Precision on every second image of thresholds that the other images gave.

        Args:
            measured: Detections.
            precision: Wanted share of hits.

        Returns:
            The share of hits; -1 if there is only one image, or nothing reaches its threshold.
        """
        if len(measured.errors) < 2:
            return -1.0
        given = self.thresholds(measured, precision, slice(0, None, 2))
        scores, outcomes, labels = measured.columns(slice(1, None, 2))
        kept = (scores >= np.array([*given.values()])[labels]) & (outcomes != IGNORED)
        return float((outcomes[kept] == HIT).mean()) if kept.any() else -1.0

    def ask_alone(
        self, settings: ScoreSettings, most: int = 500, step: Callable[[], None] = lambda: None
    ) -> dict[str, AskedAlone]:
        """Measure each novel class asked for alone, without and with base classes as negatives.

        Args:
            settings: What makes detections.
            most: Most images.
            step: Called after each class.

        Raises:
            ValueError: The vocabulary has no novel class with an object.
        """
        sweep = self.sweep(self.choosing(Protocol.ALL, most))
        base, novel = (labels.tolist() for labels in sweep.groups())
        if not sweep.counts[novel].sum():
            raise ValueError('--alone: no object of a novel class is annotated')
        return {
            title: ask_alone(sweep, settings, novel, negatives, step=step)
            for title, negatives in (('no negatives', []), ('base classes as negatives', base))
        }


def _box_metric(config: Config) -> OpenVocabCocoMetric:
    """The metric of the config."""
    given = config.test_evaluator
    for entry in [given] if isinstance(given, dict) else given:
        metric = METRICS.build(entry)
        if isinstance(metric, OpenVocabCocoMetric) and not metric.federated:
            metric.metrics = ['bbox']
            return metric
    raise ValueError(
        f'test_evaluator: expected an OpenVocabCocoMetric, whose AP50 is tuned, got {given}'
    )
