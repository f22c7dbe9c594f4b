"""Hooks for tests: accidents while a checkpoint is written."""

import os
import signal
from pathlib import Path

from mmengine.fileio import register_backend
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from clipself_mm.hooks.durable_checkpoint_hook import BACKEND_NAME, DurableLocalBackend


@HOOKS.register_module()
class KillInWrite(Hook):
    """SIGKILL in the write of a file whose name begins so: half way, or at its end."""

    def __init__(self, beginning, half):
        self.beginning, self.half = beginning, half

    def before_train(self, runner):
        beginning, half = self.beginning, self.half

        class Killing(DurableLocalBackend):
            def put(self, obj, filepath):
                chosen = Path(filepath).name.startswith(beginning)
                if chosen and half:
                    Path.write_bytes = write_half  # for good: the process ends in it
                super().put(obj, filepath)
                if chosen:
                    os.kill(os.getpid(), signal.SIGKILL)

        def write_half(path, content):
            with path.open('wb') as file:
                file.write(content[: len(content) // 2])
            os.kill(os.getpid(), signal.SIGKILL)

        register_backend(BACKEND_NAME, Killing, force=True)
