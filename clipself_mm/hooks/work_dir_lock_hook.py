"""One training per work dir."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path
from typing import IO

from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

#: Name of the lock file in the work dir; it names host and process of the last training.
LOCK_NAME = '.training.lock'


@HOOKS.register_module()
class WorkDirLockHook(Hook):
    """Locks the work dir while it is trained in.

    The main process holds a POSIX lock on a file. It ends with the process, however that ends, and
    data loader workers do not inherit it: a resumed run is not hindered. Where the system has no
    locks, the log has a warning.
    """

    # Before the checkpoint hook deletes files of killed runs.
    priority = 'HIGHEST'

    def __init__(self) -> None:
        self._file: IO[str] | None = None

    def before_train(self, runner: Runner) -> None:
        """Lock the work dir.

        Raises:
            RuntimeError: Another process trains there; in every process of this run.
        """
        problems: list[str | None] = [None]
        if is_main_process():
            problems = [self._lock(runner)]
        broadcast_object_list(problems)
        if problems[0] is not None:
            raise RuntimeError(problems[0])

    def after_train(self, runner: Runner) -> None:
        """Release the lock."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _lock(self, runner: Runner) -> str | None:
        path = Path(runner.work_dir) / LOCK_NAME
        self._file = path.open('a+', encoding='utf-8')
        try:
            import fcntl  # POSIX only

            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (ImportError, OSError) as error:
            if getattr(error, 'errno', None) not in (errno.EACCES, errno.EAGAIN):
                runner.logger.warning(f'{path} cannot be locked ({error}): train once at a time')
                return None
            self._file.seek(0)
            return (
                f'{runner.work_dir}: {self._file.read().strip()} trains in this work dir; give '
                'another --work-dir, or end that process first'
            )
        self._file.truncate(0)
        self._file.write(f'process {os.getpid()} on host {socket.gethostname()}\n')
        self._file.flush()
        return None
