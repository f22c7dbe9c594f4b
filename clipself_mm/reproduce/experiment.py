"""What a table is measured by: one run of a tool, described once for all its seeds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Experiment:
    """A training (``tools/train.py``) or a measurement (``tools/test.py``).

    Attributes:
        name: Names its folder; two experiments of one name are the same one and run once.
        config: Its config, relative to the checkout.
        options: ``--cfg-options``, key to value. In a value ``{data}`` stands for the folder of the
            data, ``{here}`` for the run's own folder and ``{KEY}`` for that of a run it needs.
        needs: Runs that must be done before, of the same seed, by the key that ``options`` use.
        trains: Whether it is a training.
        checkpoint: Key of the needed run whose last checkpoint is tested; None where the config
            names its weights itself.
        seeded: Whether the seed changes anything. An experiment that it does not runs once.
    """

    name: str
    config: str
    options: Mapping[str, str] = field(default_factory=dict)
    needs: Mapping[str, Experiment] = field(default_factory=dict)
    trains: bool = False
    checkpoint: str | None = None
    seeded: bool = True
