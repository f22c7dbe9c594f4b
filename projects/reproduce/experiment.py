"""What a table is measured by: one run of a tool, described once for all its seeds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Experiment:
    """A training (``tools/train.py``) or a measurement (``tools/test.py``).

    Attributes:
        name: Names its folder; two experiments of one name are the same one and run once.
        config: Its config, relative to the checkout.
        options: ``--cfg-options``, key to value. In a value ``{data}`` stands for the folder of the
            data, ``{here}`` for the run's own folder, ``{KEY}`` for that of a run it needs or for
            one of its files.
        needs: Runs that must be done before, of the same seed, by the key that ``options`` use.
        files: Files from elsewhere, by the key that ``options`` use; known by their content.
        trains: Whether it is a training.
        one_gpu: Whether it runs on one GPU, however many the context has.
        epoch_iters: Iterations that count as an epoch of a training that counts iterations.
        best_by: Metric of its validations that chooses the best epoch of a training, each of which
            is validated then; None for a training without validations.
        checkpoint: Key of the needed run whose last checkpoint is tested; None where the config
            names its weights itself.
        seeded: Whether the seed changes anything. An experiment that it does not runs once.
    """

    name: str
    config: str
    options: Mapping[str, str] = field(default_factory=dict)
    needs: Mapping[str, Experiment] = field(default_factory=dict)
    files: Mapping[str, Path] = field(default_factory=dict)
    trains: bool = False
    one_gpu: bool = False
    epoch_iters: int | None = None
    best_by: str | None = None
    checkpoint: str | None = None
    seeded: bool = True
