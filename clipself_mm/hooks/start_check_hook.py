"""The first validation batch, before training starts."""

from __future__ import annotations

import contextlib
import copy
import io
import random
import time
import warnings
from collections.abc import Iterable, Iterator
from itertools import islice
from types import SimpleNamespace
from typing import cast

import numpy as np
import torch
from mmengine.dist import is_main_process
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.hooks import CheckpointHook, EarlyStoppingHook, Hook
from mmengine.logging import MMLogger
from mmengine.registry import HOOKS
from mmengine.runner import Runner, ValLoop
from mmengine.utils import apply_to
from torch.utils.data import DataLoader

from .near_names import nearest_in_words
from .processes import max_over_processes

#: Attributes of metrics that write files.
OUTPUTS = ('out_file', 'out_file_path', 'outfile_path', 'outfile_prefix', 'output_dir')
_DONE, _NEXT_BATCH, _FAILED = range(3)


@HOOKS.register_module()
class StartCheckHook(Hook):
    """Runs the first validation batch through model and metrics before training.

    What would end the run in its first validation ends it now: pipeline, sizes, embeddings,
    annotation file of the evaluator; and a key that the evaluator does not give, in `save_best` of
    the checkpoint hook or `monitor` of early stopping and of schedulers.

    Training does not change: random states and modes are restored, no other hook runs, the results
    are discarded, and a data loader worker of its own loads the batch. Metrics that write files are
    left out. A weight ensemble is not formed; the student itself is run. Text embeddings of test
    classes are computed here instead of in the first validation.

    Args:
        max_batches: A metric that has nothing to count in the first batch, or a missing key, is
            looked for in further ones, up to this number. 0 switches the check off.
    """

    # After the checks that need no batch, before checkpoints and a repeated validation.
    priority = 'LOW'

    def __init__(self, max_batches: int = 8) -> None:
        if max_batches < 0:
            raise ValueError(f'StartCheckHook.max_batches must be at least 0, got {max_batches}')
        self.max_batches = max_batches

    def before_train(self, runner: Runner) -> None:
        """Run the check, unless the run is over, or its validation is no `ValLoop` or missing.

        Raises:
            ValueError: The evaluator does not give a key that a hook or a schedule needs.
            RuntimeError: The check failed in another process.
            Exception: What the validation would raise.
        """
        ended = runner.train_loop.iter >= runner.train_loop.max_iters
        if not self.max_batches or ended or not isinstance(runner.val_loop, ValLoop):
            return
        start = time.perf_counter()
        # The loop does it next. A text tower is built then, from random weights.
        runner.model.train()
        try:
            with unchanged(runner):
                found = self._run(runner)
        except Exception:
            runner.logger.error(
                'Start check: the validation would fail. '
                'default_hooks.start_check.max_batches=0 switches this check off.'
            )
            raise
        runner.logger.info(f'Start check: {found} ({time.perf_counter() - start:.1f} s)')

    def _run(self, runner: Runner) -> str:
        trial = trial_loop(runner)
        if not len(trial.dataloader.dataset):
            raise ValueError(f'{_name(trial.dataloader.dataset)} of the validation has no sample')
        indices = first_indices(trial.dataloader, self.max_batches)
        batches = iter(loader_of(trial.dataloader, indices))
        runner.model.eval()
        number, state, error, found = 0, _NEXT_BATCH, None, ''
        while state == _NEXT_BATCH:
            try:
                trial.run_iter(number, next(batches))
                number += 1
                if is_main_process():
                    state, found = judge(runner, trial, number == len(indices))
                else:
                    state = _DONE
            except Exception as failure:
                state, error = _FAILED, failure
            state = max_over_processes(state)
        if error is not None:
            raise error
        if state == _FAILED:
            raise RuntimeError('the start check failed in another process')
        return f'{number} of {len(trial.dataloader)} validation batches passed {found}'


def trial_loop(runner: Runner) -> ValLoop:
    """A validation loop of the same model, data and metrics, without hooks.

    Metrics that write files are left out.
    """
    trial = copy.copy(runner.val_loop)
    trial._runner = SimpleNamespace(model=runner.model, call_hook=lambda *args, **kwargs: None)
    trial.val_loss = {}
    trial.evaluator = copy.copy(trial.evaluator)
    trial.evaluator.metrics = [m for m in trial.evaluator.metrics if not writes_files(m)]
    return trial


def writes_files(metric: BaseMetric) -> bool:
    """Whether a metric writes files that its user keeps."""
    temporary = getattr(metric, 'tmp_dir', None) is not None
    return not temporary and any(getattr(metric, name, None) is not None for name in OUTPUTS)


def first_indices(dataloader: DataLoader, count: int) -> list[list[int]]:
    """Indices of the first batches."""
    batches = cast('Iterable[list[int]]', dataloader.batch_sampler)
    return list(islice(batches, count))


def loader_of(dataloader: DataLoader, indices: list[list[int]]) -> DataLoader:
    """A data loader of some batches, with one short-lived worker if the original has any."""
    chosen = copy.copy(dataloader)
    # DataLoader forbids its attributes to be set.
    vars(chosen).update(
        batch_sampler=indices,
        num_workers=min(dataloader.num_workers, 1),
        persistent_workers=False,
    )
    return chosen


def judge(runner: Runner, trial: ValLoop, last: bool) -> tuple[int, str]:
    """Compute the metrics of the batches so far, and look for the keys that are needed.

    Args:
        runner: The runner.
        trial: The loop that ran them.
        last: Whether there is no further batch.

    Returns:
        The state (done, or another batch is needed), and what was checked, in words.

    Raises:
        ValueError: A key is still missing after the last batch.
    """
    passed = ' and '.join(['the model', *map(_name, trial.evaluator.metrics)])
    try:
        keys = metric_keys(trial)
    except ZeroDivisionError as nothing:  # a mean over nothing
        if not last:
            return _NEXT_BATCH, ''
        return _DONE, f'{passed}; keys are not checked: nothing to count ({nothing})'
    left_out = [m for m in runner.val_evaluator.metrics if m not in trial.evaluator.metrics]
    if left_out or not _names_keys_as_mmengine(trial):
        names = ', '.join(map(_name, left_out or [trial, trial.evaluator]))
        return _DONE, f'{passed}; keys are not checked, of {names}'
    needed = needed_keys(runner)
    missing = [(place, key) for place, key in needed if key not in keys]
    if missing and not last:
        return _NEXT_BATCH, ''
    for place, key in missing:
        raise ValueError(
            f'{place} is {key!r}, which the validation does not give{nearest_in_words(key, keys)}; '
            f'it gives {", ".join(keys) or "nothing"}'
        )
    return _DONE, f'{passed}; keys found: {", ".join(key for _, key in needed) or "none needed"}'


def metric_keys(trial: ValLoop) -> list[str]:
    """Keys of the metrics of the samples so far; their values mean nothing."""
    keys = [*trial.val_loss, 'val_loss'] if trial.val_loss else []
    for metric in trial.evaluator.metrics:
        results = apply_to(metric.results, lambda item: hasattr(item, 'cpu'), lambda x: x.cpu())
        numbers = metric.compute_metrics(results)
        keys += [f'{metric.prefix}/{key}' if metric.prefix else key for key in numbers]
    return keys


def needed_keys(runner: Runner) -> list[tuple[str, str]]:
    """What names a metric in the config, and the key it names."""
    needed = []
    for hook in runner.hooks:
        if isinstance(hook, CheckpointHook):
            keys = [key for key in hook.save_best or [] if key != 'auto']
            needed += [(f'save_best of {_name(hook)}', key) for key in keys]
        elif isinstance(hook, EarlyStoppingHook):
            needed.append((f'monitor of {_name(hook)}', hook.monitor))
    schedules = runner.param_schedulers or []
    if isinstance(schedules, dict):
        schedules = [schedule for group in schedules.values() for schedule in group]
    plateaus = [schedule for schedule in schedules if hasattr(schedule, 'monitor')]
    return needed + [(f'monitor of {_name(schedule)}', schedule.monitor) for schedule in plateaus]


@contextlib.contextmanager
def unchanged(runner: Runner) -> Iterator[None]:
    """Restore random states, modes of modules and metrics; log, output and warnings are dropped."""
    modes = {module: module.training for module in runner.model.modules()}
    # mmdet's metrics keep what they derive from the first samples.
    metrics = [(metric, {**vars(metric)}) for metric in runner.val_evaluator.metrics]
    states = random.getstate(), np.random.get_state()
    devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    logger = MMLogger.get_current_instance()
    with (
        torch.random.fork_rng(devices),
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
    ):
        warnings.simplefilter('ignore')
        logger.disabled = True
        try:
            for metric, _ in metrics:
                metric.results = []
            yield
        finally:
            logger.disabled = False
            for metric, state in metrics:
                vars(metric).clear()
                vars(metric).update(state)
            for module, mode in modes.items():
                module.training = mode
            random.setstate(states[0])
            np.random.set_state(states[1])


def _names_keys_as_mmengine(loop: ValLoop) -> bool:
    return (
        type(loop).run is ValLoop.run
        and type(loop.evaluator).evaluate is Evaluator.evaluate
        and all(type(metric).evaluate is BaseMetric.evaluate for metric in loop.evaluator.metrics)
    )


def _name(item: object) -> str:
    return type(item).__name__
