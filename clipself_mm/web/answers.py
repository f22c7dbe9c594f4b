"""What the page answers: results and one sentence, or one sentence that says what is wrong."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np

from clipself_mm.datasets import ImageReadError
from clipself_mm.detection import OpenVocabDetector
from clipself_mm.visualization import DenseCLIP

from . import dense, detection
from .drawing import fit
from .session import Session

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class PageModels:
    """The models of a page.

    Args:
        detector: The detector.
        towers: Title to tower, for dense features.
        name: Name of the detector.
    """

    detector: OpenVocabDetector
    towers: Mapping[str, DenseCLIP]
    name: str

    @property
    def trained(self) -> tuple[str, ...]:
        """Classes that had boxes in training."""
        return detection.trained_classes(self.detector)


@dataclass(frozen=True, eq=False)
class Said:
    """A sentence of the page.

    Args:
        text: The sentence, plain text.
        wrong: Whether it says what is wrong.
    """

    text: str
    wrong: bool = False


@dataclass(frozen=True, eq=False)
class Detected:
    """Answer of a detection.

    Args:
        said: What was found, or what is wrong.
        figure: The image with its boxes, RGB.
        rows: Rows of the table, see `detection.COLUMNS`.
        file: Path of the COCO json, None without one.
    """

    said: Said
    figure: np.ndarray
    rows: Sequence[Sequence[Any]] = ()
    file: str | None = None


@dataclass(frozen=True, eq=False)
class Described:
    """Answer about dense features.

    Args:
        said: A sentence, or what is wrong.
        heat_maps: One per tower; none if there is no word.
        groups: One figure of k-means clusters per tower.
    """

    said: Said
    heat_maps: Sequence[dense.HeatMap] = ()
    groups: Sequence[np.ndarray] = ()


def say(error: Exception) -> Said:
    """The sentence for an error of an action; an unexpected one goes to the log."""
    if isinstance(error, (ValueError, ImageReadError)):
        return Said(str(error), wrong=True)
    _logger.error('the page: an action failed', exc_info=error)
    text = 'This did not work. The terminal in which the page was started shows why.'
    return Said(text, wrong=True)


def answer_detection(
    models: PageModels,
    session: Session,
    folder: str | Path,
    words: str,
    weight: float,
    score_thr: float,
    overlap: float,
) -> Detected:
    """Detect the words and the examples of a visitor.

    Args:
        models: The models.
        session: The image and the examples.
        folder: The json is written to a new folder in it.
        words: Class names, may be empty if there are examples.
        weight: Share of the examples in a class that has a name in `words` too.
        score_thr: Least score.
        overlap: IoU above which NMS drops the weaker of two boxes of a class.
    """
    image = session.image
    try:
        found = detection.detect(
            models.detector, image, words, session.exemplars(), weight, score_thr, overlap
        )
        figure = detection.draw_figure(image, found, models.trained)
        file = detection.write_coco(mkdtemp(dir=folder), image, found)
    except Exception as error:
        return Detected(say(error), np.asarray(fit(image.rgb, detection.FIGURE_SIDE)))
    rows = detection.list_rows(found, models.trained)
    return Detected(Said(count(rows, score_thr)), figure, rows, file)


def count(rows: Sequence[Sequence[Any]], score_thr: float) -> str:
    """How many objects were found, as a sentence."""
    if not rows:
        return f'Nothing found with a score of {score_thr:.2f} or more. Try a lower score.'
    kinds = [row[1] for row in rows]
    parts = [f'{kinds.count(kind)} {kind}' for kind in ('base', 'novel') if kind in kinds]
    return f'{len(rows)} object{"s" * (len(rows) > 1)} found: {", ".join(parts)}.'


def answer_dense(
    models: PageModels, session: Session, word: str, groups: int, size: int
) -> Described:
    """Show the dense features of a visitor's image in each tower.

    Args:
        models: The models.
        session: The image.
        word: One name or phrase for the heat maps.
        groups: Number of clusters.
        size: Longest side of the towers' input in pixels.
    """
    towers, image = models.towers.values(), session.image
    drawn: list[np.ndarray] = []
    try:
        drawn = [dense.draw_groups(tower, image, groups, size) for tower in towers]
        maps = [dense.draw_heat_map(tower, image, word, size) for tower in towers]
    except Exception as error:
        return Described(say(error), groups=drawn)
    return Described(Said(f'Bright where the features match “{word.strip()}”.'), maps, drawn)
