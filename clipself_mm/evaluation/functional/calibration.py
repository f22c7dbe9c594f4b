"""How well scores agree with precision: calibration error, thresholds for a wanted precision."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .box_matching import HIT, IGNORED


class ReliabilityBins(NamedTuple):
    """Detections by their score, in bins of equal width from 0 to 1.

    Attributes:
        counts: Detections per bin, shape (B).
        scores: Mean score per bin, 0 in an empty one.
        precision: Share of hits per bin, 0 in an empty one.
    """

    counts: np.ndarray
    scores: np.ndarray
    precision: np.ndarray

    @property
    def error(self) -> float:
        """Expected calibration error (Guo et al. 2017; of detections: Kueppers et al. 2020).

        The difference of score and precision, weighted by the detections per bin; 0 without any.
        """
        total = self.counts.sum()
        gaps = self.counts * np.abs(self.scores - self.precision)
        return float(gaps.sum() / total) if total else 0.0


def reliability_bins(scores: np.ndarray, outcomes: np.ndarray, bins: int = 15) -> ReliabilityBins:
    """Sort detections into bins of their score.

    Args:
        scores: In 0-1, shape (N).
        outcomes: See `match_boxes`; ignored detections are left out.
        bins: Number of bins.
    """
    kept = outcomes != IGNORED
    scores, hits = scores[kept].astype(np.float64), outcomes[kept] == HIT
    where = np.minimum((scores * bins).astype(int), bins - 1)
    counts = np.bincount(where, minlength=bins)
    full = np.maximum(counts, 1)
    return ReliabilityBins(
        counts,
        np.bincount(where, scores, bins) / full,
        np.bincount(where, hits, bins) / full,
    )


def threshold_for_precision(
    scores: np.ndarray, outcomes: np.ndarray, precision: float
) -> float | None:
    """The least score at which detections have a wanted precision.

    Args:
        scores: Shape (N), in any order.
        outcomes: See `match_boxes`.
        precision: Wanted share of hits among detections with at least the score.

    Returns:
        The score of a detection; None if no score gives the precision.
    """
    kept = outcomes != IGNORED
    order = np.argsort(-scores[kept], kind='stable')
    ranked, hits = scores[kept][order], outcomes[kept][order] == HIT
    reached = np.cumsum(hits) >= precision * np.arange(1, len(hits) + 1)
    last = np.append(ranked[1:] != ranked[:-1], True)[: len(ranked)]  # of equal scores
    possible = np.flatnonzero(reached & last)
    return float(ranked[possible[-1]]) if len(possible) else None
