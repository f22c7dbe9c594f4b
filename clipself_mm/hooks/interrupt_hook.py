"""A complete checkpoint at a signal, and training that goes on from it."""

from __future__ import annotations

import copy
import os
import signal
import threading
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from types import FrameType
from typing import Any

from mmengine.dist import barrier
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper
from mmengine.registry import HOOKS
from mmengine.runner import EpochBasedTrainLoop, Runner
from torch.utils.data import DataLoader

from .delayed_runtime_info_hook import step_is_awaited
from .durable_checkpoint_hook import DurableCheckpointHook
from .processes import DelayedMax

#: What schedulers send before a time limit or a preemption.
SIGNALS = (signal.SIGTERM, signal.SIGUSR1)
#: Key of a checkpoint's meta: batches of its epoch that are trained.
BATCHES_DONE = 'batches_done'


@HOOKS.register_module()
class InterruptHook(Hook):
    """Ends training after SIGTERM or SIGUSR1 with a complete checkpoint.

    If one process has the signal, all end after the step in which they agree on it: the main
    process writes `interrupted.pth`, `last_checkpoint` names it, and the exit code is 128 plus the
    number of the signal (143, 138). With gradient accumulation they end after the next update. A
    resumed run skips the batches of the epoch that are trained; the next checkpoint replaces
    `interrupted.pth`.

    A validation runs to its end first. Several processes reduce one integer in each step; beside a
    `DelayedRuntimeInfoHook`, on CUDA devices, they read it in the next one.
    """

    # After the hooks that step the schedule and write checkpoints.
    priority = 'LOWEST'

    def __init__(self) -> None:
        self._received = 0
        self._largest = DelayedMax()
        self._done = 0  # batches of this epoch that an earlier run trained
        self._dataloader: DataLoader | None = None

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Read how much of its epoch a resumed checkpoint has trained."""
        if runner._resume:
            self._done = checkpoint.get('meta', {}).get(BATCHES_DONE, 0)

    def before_train(self, runner: Runner) -> None:
        """Install the handlers of the signals."""
        if not any(isinstance(hook, DurableCheckpointHook) for hook in runner.hooks):
            runner.logger.warning(
                'InterruptHook: default_hooks.checkpoint is no DurableCheckpointHook, so SIGTERM '
                'and SIGUSR1 end the run without a checkpoint'
            )
            return
        for number in SIGNALS:
            signal.signal(number, self._receive)
        dataloader = runner.train_dataloader
        dataloader.worker_init_fn = partial(_init_worker, dataloader.worker_init_fn)

    def before_train_epoch(self, runner: Runner) -> None:
        """Skip the batches of the epoch that are trained."""
        loop = runner.train_loop
        if self._done and isinstance(loop, EpochBasedTrainLoop):
            self._dataloader = loop.dataloader
            loop.dataloader = remaining_batches(loop.dataloader, self._done)
            runner.logger.info(f'{self._done} batches of this epoch are trained already')

    def after_train_epoch(self, runner: Runner) -> None:
        """Restore the data loader."""
        if self._dataloader is not None:
            runner.train_loop.dataloader = self._dataloader
            self._dataloader = None
        self._done = 0

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | tuple | list | None = None,
        outputs: dict | None = None,
    ) -> None:
        """Write the checkpoint and end, if a process has received a signal.

        Raises:
            SystemExit: With 128 plus the number of the signal.
        """
        known = self._largest.exchange(self._received)
        if step_is_awaited(runner, batch_idx):
            known += self._largest.rest()
        received = max((number for number, _ in known), default=0)
        if not received or not _has_updated(runner.optim_wrapper):
            return
        meta = {'epoch': runner.epoch, 'iter': runner.iter + 1}
        if isinstance(runner.train_loop, EpochBasedTrainLoop):
            meta[BATCHES_DONE] = self._done + batch_idx + 1
        hook = next(hook for hook in runner.hooks if isinstance(hook, DurableCheckpointHook))
        hook.save_interrupted(runner, meta)
        name = signal.Signals(received).name
        runner.logger.warning(
            f'{name}: training ends after step {runner.iter + 1}; {hook.last_ckpt} is complete, '
            'go on with --resume'
        )
        barrier()  # a launcher ends the others once one process has ended
        raise SystemExit(128 + received)

    def after_train(self, runner: Runner) -> None:
        """Restore the default handlers."""
        for number in SIGNALS:
            signal.signal(number, signal.SIG_DFL)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self._received = number


def _has_updated(optim_wrapper: OptimWrapper) -> bool:
    """Whether the last step left no accumulated gradient, which checkpoints do not hold."""
    return not isinstance(optim_wrapper, OptimWrapper) or optim_wrapper.should_update()


def remaining_batches(dataloader: DataLoader, done: int) -> DataLoader:
    """A data loader without the first batches of an epoch; they are not loaded."""
    rest = copy.copy(dataloader)
    # DataLoader forbids its attributes to be set.
    vars(rest).update(
        batch_sampler=_Tail(dataloader.batch_sampler, done),
        persistent_workers=False,
    )
    return rest


class _Tail:
    """The batches of a batch sampler after the first ones."""

    def __init__(self, batches: Any, done: int) -> None:  # noqa: ANN401
        self._batches = batches
        self._done = done

    def __iter__(self) -> Iterator:
        return islice(self._batches, self._done, None)

    def __len__(self) -> int:
        return len(self._batches) - self._done


def _init_worker(init: Callable[[int], None] | None, worker: int) -> None:
    """Let a data loader worker outlive the signals that a scheduler sends to all processes."""
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    if hasattr(signal, 'sigwaitinfo'):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_end_with_main, daemon=True).start()
    if init is not None:
        init(worker)


def _end_with_main() -> None:
    """End this worker at a SIGTERM of the main process, as torch's own handler does."""
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != os.getppid():
        pass
    os._exit(0)
