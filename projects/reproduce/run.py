"""One experiment with one seed: its folder, its command, and whether it is done."""

from __future__ import annotations

import datetime
import hashlib
import json
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from mmengine.registry import MODELS

import clipself_mm.losses  # noqa: F401  (registers them)
from clipself_mm.io.atomic_write import atomic_write

from .experiment import Experiment
from .run_context import RunContext

RESULTS = 'results.json'
SETUP = 'setup.json'
POINTER = 'last_checkpoint'
HASHED_KEYS = (
    'model',
    'optim_wrapper',
    'param_scheduler',
    'train_cfg',
    'train_dataloader',
    'test_dataloader',
    'test_evaluator',
    'custom_hooks',
)
"""Parts of a config that its numbers depend on."""
HASHED_VAL_KEYS = ('val_dataloader', 'val_evaluator')
"""Those of a training that is measured by its validations."""
UNHASHED_HOOKS = {
    'runtime_info',
    'timer',
    'logger',
    'param_scheduler',
    'checkpoint',
    'sampler_seed',
    'visualization',
}
"""Default hooks that they do not depend on; others stand there too, the weight ensemble's say."""


class OtherSetupError(ValueError):
    """A folder holds a run of another config, length or data."""


@dataclass(frozen=True)
class Run:
    """An experiment with a seed, in a context.

    Attributes:
        experiment: What is run.
        seed: Its seed; None for an experiment that has none.
        context: Where and how.
    """

    experiment: Experiment
    seed: int | None
    context: RunContext

    @classmethod
    def of(cls, experiment: Experiment, seed: int, context: RunContext) -> Run:
        """The run of an experiment for a seed; one without seeds has one run for all."""
        return cls(experiment, seed if experiment.seeded else None, context)

    @property
    def id(self) -> str:
        """Name of its folder."""
        return self.experiment.name + ('' if self.seed is None else f'_seed{self.seed}')

    @property
    def folder(self) -> Path:
        """Work folder of the run."""
        return self.context.work_dir / self.id

    @cached_property
    def needs(self) -> dict[str, Run]:
        """Runs that must be done before, by the key of ``Experiment.needs``."""
        seed = 0 if self.seed is None else self.seed
        return {
            key: Run.of(experiment, seed, self.context)
            for key, experiment in self.experiment.needs.items()
        }

    @cached_property
    def setup(self) -> str:
        """Twelve hex digits of all that decides its numbers but the seed, needed runs included."""
        config = self.context.config(self.experiment.config)
        decisive = (
            HASHED_KEYS if self.experiment.best_by is None else (*HASHED_KEYS, *HASHED_VAL_KEYS)
        )
        hooks = config.get('default_hooks', {}).items()
        parts = {
            'config': {key: config[key] for key in decisive if key in config},
            'hooks': {name: hook for name, hook in hooks if name not in UNHASHED_HOOKS},
            'options': dict(self.experiment.options),
            'files': {key: _digest(path) for key, path in self.experiment.files.items()},
            'length': self._length,
            'data': self.context.data,
            'gpus': self.gpus,
            'amp': self.context.amp,
            'needs': {key: run.setup for key, run in self.needs.items()},
        }
        text = json.dumps(parts, sort_keys=True, default=repr)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def gpus(self) -> int | None:
        """Its processes, one a GPU; None for one that is started plainly, without GPUs."""
        return 1 if self.context.gpus and self.experiment.one_gpu else self.context.gpus

    @property
    def is_cut(self) -> bool:
        """Whether its training, or one that it needs, is shortened."""
        return bool(self._length) or any(run.is_cut for run in self.needs.values())

    @property
    def _length(self) -> dict[str, int]:
        """Options that shorten a training."""
        if not self.experiment.trains:
            return {}
        return self.context.length_options(self.experiment.config, self.experiment.epoch_iters)

    def options(self) -> list[str]:
        """The ``--cfg-options`` with every folder filled in."""
        folders = {key: run.folder for key, run in self.needs.items()}
        files = self.experiment.files
        places = {'data': self.context.data_root, 'here': self.folder, **folders, **files}
        options = {key: value.format(**places) for key, value in self.experiment.options.items()}
        if self.experiment.trains:
            options |= {key: str(value) for key, value in self._length.items()}
            options['randomness.seed'] = str(self.seed)
            options |= self._cache_options(options)
        return [f'{key}={value}' for key, value in options.items()]

    def _cache_options(self, options: Mapping[str, str]) -> dict[str, str]:
        """Options that give a distillation the teacher cache.

        They are not part of ``setup``: a cached embedding is the same but for its last bits. Each
        tower and kind of crop has a folder of its own. A loss that needs all crops has no cache.
        """
        config = self.context.config(self.experiment.config)
        if self.context.teacher_cache is None or config.model.type != 'CLIPSelf':
            return {}
        losses = [MODELS.get(loss['type']) for loss in config.model.get('dense_losses', ())]
        if any(getattr(loss, 'needs_crops', False) for loss in losses):
            return {}
        steps = config.train_dataloader.dataset.pipeline
        ((place, crop),) = [item for item in enumerate(steps) if item[1]['type'] == 'CropRegions']
        prefix = 'model.tower.'
        changes = {key: value for key, value in options.items() if key.startswith(prefix)}
        tower = dict(config.model.tower) | {key[len(prefix) :]: changes[key] for key in changes}
        text = json.dumps([tower, crop], sort_keys=True)
        folder = str(self.context.teacher_cache / hashlib.sha256(text.encode()).hexdigest()[:12])
        step = f'train_dataloader.dataset.pipeline.{place}'
        return {
            f'{step}.type': 'CropUncachedRegions',
            f'{step}.folder': folder,
            'model.teacher_cache.folder': folder,
        }

    def command(self, checkpoint: str | None = None) -> list[str]:
        """The command line.

        Args:
            checkpoint: The file to test, where the experiment tests one.
        """
        trains = self.experiment.trains
        gpus = None if self.experiment.one_gpu else self.context.gpus
        config = str(self.context.root / self.experiment.config)
        tool = self.context.root / 'tools' / ('train' if trains else 'test')
        weights = [] if trains else [checkpoint or '']
        if gpus is not None:
            words = ['bash', str(tool.with_name(f'dist_{tool.name}.sh')), config, *weights]
            words.append(str(gpus))
        else:
            words = [sys.executable, f'{tool}.py', config, *filter(None, weights)]
        words += ['--work-dir', str(self.folder)]
        if trains:
            words += ['--resume', *(['--amp'] if self.context.amp else [])]
            words += [] if gpus is None else ['--auto-scale-lr']
        return [*words, '--cfg-options', *self.options()]

    def command_text(self) -> str:
        """The command for a shell, also before there is a checkpoint to name."""
        mark = 'CHECKPOINT'
        key = self.experiment.checkpoint
        text = shlex.join(self.command(mark if key else None))
        if key is None:
            return text
        pointer = shlex.quote(str(self.needs[key].folder / POINTER))
        return text.replace(mark, f'"$(cat {pointer})"', 1)

    def checkpoint(self) -> str | None:
        """The file to test; None where the config names its weights itself.

        Raises:
            FileNotFoundError: The needed run left no checkpoint.
        """
        key = self.experiment.checkpoint
        if key is None:
            return None
        folder = self.needs[key].folder
        return str(folder / Path((folder / POINTER).read_text().strip()).name)

    def result(self) -> dict[str, Any] | None:
        """What the run has left, None if it is not done.

        Raises:
            OtherSetupError: The folder is of a run with another config, length or data.
        """
        setup = _read(self.folder / SETUP)
        if setup is not None and setup['setup'] != self.setup:
            raise OtherSetupError(
                f'{self.folder} holds a run of another setup ({setup}), expected '
                f'{self._setup_record()}: give another --work-dir, or remove the folder'
            )
        return _read(self.folder / RESULTS)

    def begin(self) -> None:
        """Make the folder and say in it what is run here."""
        self.folder.mkdir(parents=True, exist_ok=True)
        _write(self.folder / SETUP, self._setup_record())

    def finish(self, seconds: float, since: float) -> dict[str, Any]:
        """Mark the run as done.

        Args:
            seconds: What it took since it was started, or resumed, last.
            since: When that was, in seconds of the system's clock.

        Returns:
            What ``results.json`` holds.

        Raises:
            FileNotFoundError: A measurement has left no metrics, or a training has not validated
                each of its epochs.
        """
        if self.experiment.best_by is not None:
            metrics = self._best_and_last()
        else:
            metrics = {} if self.experiment.trains else self._metrics(since)
        result = {
            **self._setup_record(),
            'seed': self.seed,
            'date': datetime.date.today().isoformat(),
            'seconds': round(seconds, 1),
            'metrics': metrics,
        }
        _write(self.folder / RESULTS, result)
        return result

    def _metrics(self, since: float) -> dict[str, float]:
        """Metrics of the newest of mmengine's json files, which a test writes at its end."""
        files = [path for path in self.folder.glob('*/*.json') if path.stat().st_mtime >= since - 2]
        if not files:
            raise FileNotFoundError(f'{self.folder}: the test has written no metrics')
        newest = max(files, key=lambda path: path.stat().st_mtime)
        return {
            key: value
            for key, value in json.loads(newest.read_text()).items()
            if isinstance(value, int | float)
        }

    def _best_and_last(self) -> dict[str, float]:
        """Metrics of the best and of the last epoch, ``best/KEY`` and ``last/KEY``."""
        key, found = self.experiment.best_by, self._validations()
        assert key is not None
        whole = self.context.config(self.experiment.config).train_cfg.max_epochs
        last = self._length.get('train_cfg.max_epochs', whole)
        missing = [epoch for epoch in range(1, last + 1) if epoch not in found]
        if missing:
            raise FileNotFoundError(f'{self.folder}: no validation of epochs {missing}')
        best = max(range(1, last + 1), key=lambda epoch: found[epoch][key])
        chosen = {'best': found[best] | {'epoch': best}, 'last': found[last]}
        return {
            f'{which}/{name}': value for which, of in chosen.items() for name, value in of.items()
        }

    def _validations(self) -> dict[int, dict[str, float]]:
        """Epoch to its metrics, from mmengine's logs; a repeated epoch has the later ones."""
        found = {}
        for log in sorted(self.folder.glob('*/vis_data/scalars.json')):
            whole_lines = log.read_text().rpartition('\n')[0].splitlines()
            for entry in map(json.loads, whole_lines):
                if self.experiment.best_by in entry:
                    found[entry.pop('step')] = entry
        return found

    def _setup_record(self) -> dict[str, Any]:
        epochs = self.context.epochs
        config, data = self.experiment.config, self.context.data
        return {'setup': self.setup, 'config': config, 'data': data, 'cut_to_epochs': epochs}


def _read(path: Path) -> dict[str, Any] | None:
    return json.loads(path.read_text()) if path.is_file() else None


@cache
def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _write(path: Path, content: dict[str, Any]) -> None:
    with atomic_write(path) as part:
        part.write_text(json.dumps(content, indent=2))
