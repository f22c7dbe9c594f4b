"""Search for the settings with the best AP50."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum

from .score_settings import ScoreSettings
from .sweep import Sweep

WEIGHTS = tuple(round(0.1 * step, 1) for step in range(11))
FACTORS = (0.5, 0.71, 1.0, 1.41, 2.0)
"""Of both temperatures."""
NMS_IOUS = (0.3, 0.4, 0.5, 0.6, 0.7)
SCORE_THRS = (0.001, 0.01, 0.05)
GAIN = 0.001
"""Least gain of AP50 for which a setting changes."""
PASSES = 2 * (3 * (len(WEIGHTS) + 1) + len(FACTORS) ** 2 + len(NMS_IOUS) + len(SCORE_THRS) + 7)
"""Passes over the images of `choose_settings`, at most."""


class Protocol(str, Enum):
    """Which annotations choose the settings."""

    BASE = 'base'
    """Base classes, all images. Beta, which only novel classes have, stays."""
    HALF = 'half'
    """All classes on every second image; the numbers are of the other images."""
    ALL = 'all'
    """All classes, all images: the numbers are of the annotations that chose."""


@dataclass(frozen=True)
class Choice:
    """Result of `choose_settings`.

    Attributes:
        settings: The best.
        grid: (alpha, beta) to AP50 per split, all else as chosen.
    """

    settings: ScoreSettings
    grid: dict[tuple[float, float], dict[str, float]]


def objective(ap50: dict[str, float], protocol: Protocol) -> float:
    """What is maximised.

    It is AP50 of base classes, or the harmonic mean of novel and base, the usual summary of
    generalised zero-shot recognition (Xian et al. 2017); without a split AP50 of all classes.

    Args:
        ap50: AP50 per split.
        protocol: Which annotations choose.
    """
    novel, base = ap50.get('novel', -1.0), ap50.get('base', -1.0)
    if base < 0:
        return ap50['all']
    if protocol is Protocol.BASE or novel < 0:
        return base
    return 2 * novel * base / (novel + base) if novel + base else 0.0


def choose_settings(
    sweep: Sweep,
    current: ScoreSettings,
    protocol: Protocol,
    step: Callable[[], None] = lambda: None,
) -> Choice:
    """Search one group of settings after the other.

    The groups are the fusion weights, the temperatures, the fusion weights again, the IoU of NMS,
    the least score. At the end each setting returns to the current one if all such changes together
    lose less than `GAIN`. The result is not worse on the annotations that choose.

    Args:
        sweep: Measures on the images that choose.
        current: Where the search starts.
        protocol: Which annotations choose.
        step: Called after each pass over the images, at most `PASSES` times.
    """
    known: dict[ScoreSettings, float] = {}
    grids: dict[ScoreSettings, dict[tuple[float, float], dict[str, float]]] = {}

    def measured(settings: ScoreSettings) -> float:
        if settings not in known:
            known[settings] = objective(sweep.measure(settings), protocol)
            step()
            step()
        return known[settings]

    def grid_of(settings: ScoreSettings) -> dict[tuple[float, float], dict[str, float]]:
        others = replace(settings, alpha=current.alpha, beta=current.beta)
        if others not in grids:
            alphas, betas = (sorted({*WEIGHTS, v}) for v in (current.alpha, current.beta))
            grids[others] = sweep.grid(others, alphas, betas, step)
        return grids[others]

    def weigh(settings: ScoreSettings) -> ScoreSettings:
        grid = grid_of(settings)
        pair = settings.alpha, settings.beta
        free = protocol is not Protocol.BASE
        pairs = [pair, *(p for p in grid if free or p[1] == settings.beta)]
        alpha, beta = max(pairs, key=lambda p: objective(grid[p], protocol))  # the first of equals
        return replace(settings, alpha=alpha, beta=beta)

    best = weigh(current)
    factors = itertools.product(FACTORS, FACTORS)
    warmer = [
        replace(
            best,
            detector_temperature=best.detector_temperature * detector,
            clip_temperature=best.clip_temperature * clip,
        ).rounded()
        for detector, clip in factors
        if (detector, clip) != (1.0, 1.0)
    ]
    best = weigh(max([best, *warmer], key=measured))
    best = max([best, *(replace(best, nms_iou=value) for value in NMS_IOUS)], key=measured)
    best = max([best, *(replace(best, score_thr=value) for value in SCORE_THRS)], key=measured)
    enough = max(measured(current), measured(best) - GAIN)
    for key in best.changed(current):
        back = replace(best, **{key: getattr(current, key)})
        if measured(back) >= enough:
            best = back
    return Choice(best, grid_of(best))
