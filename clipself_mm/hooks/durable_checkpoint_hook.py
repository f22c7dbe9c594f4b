"""Checkpoints that survive a kill at any moment, also in the middle of a write."""

from __future__ import annotations

import os
from collections import deque
from pathlib import Path

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

#: Name of the backend in `backend_args`.
BACKEND_NAME = 'clipself_durable'
#: Entry of mmengine's message hub, and so of the checkpoint: files to delete once it is complete.
OUTDATED = 'outdated_ckpts'


@HOOKS.register_module()
class DurableCheckpointHook(CheckpointHook):
    """mmengine's checkpoint hook, so ordered that a complete checkpoint exists at all times.

    A checkpoint is written under another name and moved into its place; then `last_checkpoint`
    follows in the same way; only then the checkpoints that it outdates are deleted, among them
    the previous best. A run that resumes deletes what its killed predecessor left half written
    or could not delete any more. Takes the arguments of `CheckpointHook`, for epochs and for
    iterations: `default_hooks = dict(checkpoint=dict(type='DurableCheckpointHook', interval=1))`.

    Folders that are not local (a URI prefix, or `file_client_args`) are written by mmengine as
    they are; the order of writing and deleting holds there too.
    """

    def before_train(self, runner: Runner) -> None:
        """Choose the backend that writes whole files, and clean up after a killed run.

        Args:
            runner: The runner of the training.
        """
        if self.file_client_args is None:
            place = self.out_dir or runner.work_dir
            if type(get_file_backend(place, backend_args=self.backend_args)) is LocalBackend:
                self.backend_args = {'backend': BACKEND_NAME}
        super().before_train(runner)
        if not is_main_process():
            return
        self._delete(runner.message_hub.runtime_info.get(OUTDATED, []))
        folders = {Path(runner.work_dir)}
        if isinstance(self.file_backend, LocalBackend):
            folders.add(Path(self.out_dir))
        for folder in folders:
            for path in remove_partial_files(folder):
                runner.logger.info(f'Removed {path}, left half written by a killed run.')

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict) -> None:
        """Write the checkpoint of a step, then `last_checkpoint`, then delete what is outdated."""
        outdated = []
        if isinstance(self.file_backend, _DeletionsLater):
            outdated += self.file_backend.names
        if self.max_keep_ckpts > 0:
            steps = [kept for kept in self.keep_ckpt_ids if kept != step] + [step]
            outdated += [self.filename_tmpl.format(old) for old in steps[: -self.max_keep_ckpts]]
            self.keep_ckpt_ids = deque(steps, self.max_keep_ckpts)
            runner.message_hub.update_info('keep_ckpt_ids', list(self.keep_ckpt_ids))
        runner.message_hub.update_info(OUTDATED, outdated)

        file_name = self.filename_tmpl.format(step)
        self.last_ckpt = str(self.file_backend.join_path(self.out_dir, file_name))
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        runner.save_checkpoint(
            self.out_dir,
            file_name,
            self.file_client_args,
            save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler,
            meta=meta,
            by_epoch=self.by_epoch,
            backend_args=self.backend_args,
            **self.args,
        )
        if is_main_process():
            pointer = Path(runner.work_dir) / 'last_checkpoint'
            DurableLocalBackend().put_text(self.last_ckpt, pointer)
            self._delete(outdated)

    def _save_best_checkpoint(self, runner: Runner, metrics: dict) -> None:
        """Let mmengine save the best checkpoint, but delete the previous best only at the end."""
        backend = self.file_backend
        later = self.file_backend = _DeletionsLater(backend)
        try:
            super()._save_best_checkpoint(runner, metrics)
        finally:
            self.file_backend = backend
        self._delete(later.names)

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


class _DeletionsLater:
    """A storage backend that only notes what it is told to delete.

    Args:
        backend: The backend that does everything else.

    Attributes:
        names: File names to delete.
    """

    def __init__(self, backend: BaseStorageBackend | FileClient) -> None:
        self._backend = backend
        self.names: list[str] = []

    def remove(self, path: str | Path) -> None:
        """Note a file."""
        self.names.append(os.path.basename(path))

    def rmtree(self, path: str | Path) -> None:
        """Note a folder."""
        self.remove(path)

    def __getattr__(self, name: str) -> object:
        return getattr(self._backend, name)


@register_backend(BACKEND_NAME)
class DurableLocalBackend(LocalBackend):
    """mmengine's local backend, writing by way of a partial file in the same folder.

    The bytes are forced to disk under another name, which then takes the place of the old file in
    one step. A process killed at any moment leaves the old file or the new one, never a piece.
    """

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write a file, making its folder when there is none.

        Args:
            obj: Content.
            filepath: Where the file is to appear.

        Raises:
            OSError: The disk is full or the folder not writable; the old file is still there.
        """
        with atomic_write(filepath, durable=True) as part:
            part.write_bytes(obj)

    def put_text(self, obj: str, filepath: str | Path, encoding: str = 'utf-8') -> None:
        """Write a text file like `put`.

        Args:
            obj: Content.
            filepath: Where the file is to appear.
            encoding: Encoding of the file.
        """
        self.put(obj.encode(encoding), filepath)
