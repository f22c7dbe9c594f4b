"""Crash-safe checkpoints: atomic writes, old checkpoints are deleted last."""

from __future__ import annotations

import inspect
import math
import os
from collections import deque
from collections.abc import Mapping
from numbers import Real
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import is_main_process
from mmengine.fileio import (
    BaseStorageBackend,
    FileClient,
    LocalBackend,
    get_file_backend,
    register_backend,
)
from mmengine.hooks import CheckpointHook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from clipself_mm.io.atomic_write import atomic_write, remove_partial_files
from clipself_mm.launch import keyboard_interrupts

from .finite_loss_hook import FiniteLossHook
from .near_names import nearest_in_words

#: Name of the backend in `backend_args`.
BACKEND_NAME = 'clipself_durable'
#: Key in mmengine's message hub, saved with the checkpoint: files to delete after it is complete.
OUTDATED = 'outdated_ckpts'
#: File name of a checkpoint that is written at a signal, by `InterruptHook`.
INTERRUPTED = 'interrupted.pth'


@HOOKS.register_module()
class DurableCheckpointHook(CheckpointHook):
    """mmengine's checkpoint hook with atomic writes: a complete checkpoint exists at all times.

    The checkpoint is written atomically, then `last_checkpoint`, then outdated checkpoints are
    deleted, among them the previous best. A resumed run deletes partial files and outdated
    checkpoints that a killed run left. Arguments as in `CheckpointHook`, by epoch or by iteration:
    `default_hooks = dict(checkpoint=dict(type='DurableCheckpointHook', interval=1))`.

    Remote folders (a URI prefix, or `file_client_args`) are written by mmengine's backends, in the
    same order.

    A value of -1 (average precision and recall where nothing is annotated) or NaN is never the
    best, and is told once.

    Raises:
        TypeError: An argument is unknown, or of the wrong type.
    """

    backend_args: dict | None
    file_backend: Any
    keep_ckpt_ids: deque[int]

    def __init__(self, **settings: Any) -> None:
        check_settings(settings)
        super().__init__(**settings)
        self._told: set[str] = set()

    def before_train(self, runner: Runner) -> None:
        """Choose the backend for atomic writes, and clean up after a killed run."""
        if self.file_client_args is None:
            out_dir = self.out_dir or runner.work_dir
            if type(get_file_backend(out_dir, backend_args=self.backend_args)) is LocalBackend:
                self.backend_args = {'backend': BACKEND_NAME}
        super().before_train(runner)
        self.last_ckpt = runner.message_hub.runtime_info.get('last_ckpt')  # of a resumed run
        if not is_main_process():
            return
        self._delete(runner.message_hub.runtime_info.get(OUTDATED, []))
        folders = {Path(runner.work_dir)}
        if isinstance(self.file_backend, LocalBackend):
            folders.add(Path(self.out_dir))
        for folder in folders:
            for path in remove_partial_files(folder):
                runner.logger.info(f'Removed {path}, a partial file of a killed run.')

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict) -> None:
        """Write the checkpoint, then `last_checkpoint`, then delete outdated checkpoints.

        Raises:
            FloatingPointError: A loss or parameter is not finite; the previous checkpoint stays.
        """
        check_losses_and_parameters(runner)
        outdated = []
        if isinstance(self.file_backend, _DeferredDeletes):
            outdated += self.file_backend.names
        if self.max_keep_ckpts > 0:
            steps = [kept for kept in self.keep_ckpt_ids if kept != step] + [step]
            outdated += [self.filename_tmpl.format(old) for old in steps[: -self.max_keep_ckpts]]
            self.keep_ckpt_ids = deque(steps, self.max_keep_ckpts)
            runner.message_hub.update_info('keep_ckpt_ids', list(self.keep_ckpt_ids))
        self._write(runner, self.filename_tmpl.format(step), meta, [*outdated, INTERRUPTED])

    def save_interrupted(self, runner: Runner, meta: dict) -> None:
        """Write a checkpoint between the regular ones; the next regular one replaces it.

        Nothing is written if the regular one of this step was.

        Args:
            runner: The runner, in any hook of a training step.
            meta: `epoch` and `iter` that a resumed run goes on with, and more.
        """
        regular = self.file_backend.join_path(self.out_dir, self.filename_tmpl.format(meta['iter']))
        if self.by_epoch or self.last_ckpt != str(regular):
            check_losses_and_parameters(runner)
            self._write(runner, INTERRUPTED, meta, [])

    def _write(self, runner: Runner, file_name: str, meta: dict, outdated: list[str]) -> None:
        runner.message_hub.update_info(OUTDATED, outdated)
        self.last_ckpt = str(self.file_backend.join_path(self.out_dir, file_name))
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        regular = file_name != INTERRUPTED
        with keyboard_interrupts():
            runner.save_checkpoint(
                self.out_dir,
                file_name,
                self.file_client_args,
                save_optimizer=self.save_optimizer or not regular,
                save_param_scheduler=self.save_param_scheduler or not regular,
                meta=meta,
                by_epoch=self.by_epoch,
                backend_args=self.backend_args,
            )
        if is_main_process():
            pointer = Path(runner.work_dir) / 'last_checkpoint'
            DurableLocalBackend().put_text(self.last_ckpt, pointer)
            self._delete(outdated)

    def _save_best_checkpoint(self, runner: Runner, metrics: dict) -> None:
        """Save the best checkpoint as mmengine does, then delete the previous best."""
        metrics = self._without_numbers_of_nothing(runner, metrics)
        backend = self.file_backend
        deferred = self.file_backend = _DeferredDeletes(backend)
        try:
            with keyboard_interrupts():
                super()._save_best_checkpoint(runner, metrics)
        finally:
            self.file_backend = backend
        self._delete(deferred.names)

    def _without_numbers_of_nothing(self, runner: Runner, metrics: dict) -> dict:
        """Metrics with None, which mmengine never takes as best, for -1 and NaN; told once."""
        keys = [next(iter(metrics)) if key == 'auto' else key for key in self.save_best or []]
        rules = dict(zip(keys, self.rules, strict=True)) if keys else {}
        empty = {key for key in keys if counts_nothing(metrics.get(key), rules[key])}
        for key in sorted(empty - self._told):
            files = {getattr(metric, 'ann_file', None) for metric in runner.val_evaluator.metrics}
            where = ', '.join(sorted(map(str, files - {None}))) or 'the validation data'
            real = [name for name in metrics if not counts_nothing(metrics[name], rules[key])]
            runner.logger.warning(
                f'{key} is {metrics[key]:g}: nothing that it counts is annotated in {where}, so no '
                'checkpoint is the best by it. Annotate some, or choose another '
                f'default_hooks.checkpoint.save_best{nearest_in_words(key, real)}'
            )
        self._told |= empty
        return {**metrics, **dict.fromkeys(empty)}

    def _delete(self, names: list[str]) -> None:
        """Delete checkpoints of `out_dir` by file name, except those in use."""
        in_use = [self.last_ckpt, getattr(self, 'best_ckpt_path', None)]
        in_use += getattr(self, 'best_ckpt_path_dict', {}).values()
        for name in names:
            path = self.file_backend.join_path(self.out_dir, name)
            if str(path) in map(str, in_use):
                continue
            if self.file_backend.isfile(path):
                self.file_backend.remove(path)
            elif self.file_backend.isdir(path):
                self.file_backend.rmtree(path)


def check_settings(settings: Mapping[str, Any]) -> None:
    """Check names and types of the arguments of `CheckpointHook`, which takes any.

    Args:
        settings: Argument to value.

    Raises:
        TypeError: An argument is unknown; or not bool or int where the default is.
    """
    known = dict(inspect.signature(CheckpointHook).parameters)
    del known['kwargs']
    for name, value in settings.items():
        if name not in known:
            raise TypeError(
                f'the checkpoint hook has no argument {name!r}{nearest_in_words(name, known)}; '
                f'it has {", ".join(known)}'
            )
        kind = type(known[name].default)
        if kind in (bool, int) and type(value) is not kind:
            raise TypeError(f'the checkpoint hook needs {kind.__name__} for {name}, got {value!r}')


def counts_nothing(value: object, rule: str | None) -> bool:
    """Whether a metric has nothing to count: NaN, or -1 where less is not better."""
    if not isinstance(value, Real):
        return False
    return math.isnan(value) or (value == -1 and rule != 'less')


def check_losses_and_parameters(runner: Runner) -> None:
    """Check that no loss and no parameter has NaN or inf, in all processes.

    A last step may end with a finite loss and a bad update.

    Raises:
        FloatingPointError: One has.
    """
    for hook in runner.hooks:
        if isinstance(hook, FiniteLossHook):
            hook.check(runner)
    parameters = [item for item in runner.model.named_parameters() if item[1].is_floating_point()]
    finite = [parameter.detach().isfinite().all() for _, parameter in parameters]
    if not finite or bool(torch.stack(finite).all()):
        return
    bad = [name for (name, _), good in zip(parameters, finite, strict=True) if not good]
    raise FloatingPointError(
        f'{len(bad)} of {len(parameters)} parameters are not finite, the first is {bad[0]}: no '
        'checkpoint is written, the previous one stays. Lower the learning rate or clip gradients '
        '(optim_wrapper.clip_grad)'
    )


class _DeferredDeletes:
    """A storage backend that collects deletions instead of executing them.

    Args:
        backend: The backend for all other operations.

    Attributes:
        names: File names to delete.
    """

    def __init__(self, backend: BaseStorageBackend | FileClient) -> None:
        self._backend = backend
        self.names: list[str] = []

    def remove(self, path: str | Path) -> None:
        """Defer deletion of a file."""
        self.names.append(os.path.basename(path))

    def rmtree(self, path: str | Path) -> None:
        """Defer deletion of a folder."""
        self.remove(path)

    def __getattr__(self, name: str) -> object:
        return getattr(self._backend, name)


@register_backend(BACKEND_NAME)
class DurableLocalBackend(LocalBackend):
    """mmengine's local backend with atomic, synced writes (see `atomic_write`)."""

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write a file and create its folder if needed; on errors the old file stays."""
        with atomic_write(filepath, durable=True, size=len(obj)) as part:
            part.write_bytes(obj)

    def put_text(self, obj: str, filepath: str | Path, encoding: str = 'utf-8') -> None:
        """Write a text file, like `put`."""
        self.put(obj.encode(encoding), filepath)
