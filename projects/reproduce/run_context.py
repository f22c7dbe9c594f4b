"""Where and how all runs of a reproduction are made."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from mmengine.config import Config


@dataclass(frozen=True)
class RunContext:
    """What is the same for every run.

    Attributes:
        root: Checkout that holds ``configs`` and ``tools``.
        work_dir: Holds a folder a run.
        data_root: Folder of the images and annotations.
        data: Which data these are, for the record; the folder's place does not matter.
        epochs: Trainings are cut to this many epochs; None leaves them their own number.
        gpus: Processes of a run, one a GPU. None starts the tools plainly, in one process.
        amp: Whether trainings are in mixed precision.
        teacher_cache: Folder in which all distillations keep the teacher's embeddings of crops (see
            docs/teacher-cache.md), so that a crop is encoded once for all runs; None for no cache.
    """

    root: Path
    work_dir: Path
    data_root: Path
    data: str
    epochs: int | None = None
    gpus: int | None = None
    amp: bool = False
    teacher_cache: Path | None = None

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ValueError: Fewer than one epoch or process.
        """
        for name in ('epochs', 'gpus'):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f'{name} is at least 1, got {value}')

    def config(self, path: str) -> Config:
        """The config of an experiment, read once."""
        return _read(str(self.root / path))

    def length_options(self, path: str, epoch_iters: int | None = None) -> dict[str, int]:
        """Options that cut a training to ``epochs``; none where it is no longer than that.

        Args:
            path: The config.
            epoch_iters: What counts as an epoch where the config counts iterations.

        Raises:
            ValueError: The config counts iterations and nobody says how many are an epoch.
        """
        if self.epochs is None:
            return {}
        config = self.config(path)
        unit, end = 'max_epochs', self.epochs
        if unit not in config.train_cfg:
            if epoch_iters is None:
                raise ValueError(f'{path} counts iterations, it cannot be cut to epochs')
            unit, end = 'max_iters', self.epochs * epoch_iters
        if config.train_cfg[unit] <= end:
            return {}
        ends = {
            f'param_scheduler.{place}.end': end
            for place, scheduler in enumerate(config.get('param_scheduler', []))
            if scheduler.get('end', 0) > end
            and (unit == 'max_iters' or scheduler.get('by_epoch', True))
        }
        return {f'train_cfg.{unit}': end} | ends


@cache
def _read(path: str) -> Config:
    return Config.fromfile(path, import_custom_modules=False)
