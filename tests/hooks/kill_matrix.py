"""Run by a test: kill a small training at every stage of every write, resume it, and report.

`python kill_matrix.py LOOP FOLDER` trains once unbroken, then once for each moment: SIGKILL in
the middle of the n-th write, right after it, or from outside while it is under way; each time
followed by a run that resumes. Every run is a process of its own (a fork of this one, which itself
never trains). The report, a JSON list on standard output, tells what was on disk after the kill
and at the end.
"""

import hashlib
import json
import os
import signal
import sys
import time
from pathlib import Path

import torch
from mmengine.evaluator import BaseMetric
from mmengine.fileio import register_backend
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[2]))

from clipself_mm.hooks import durable_checkpoint_hook
from clipself_mm.hooks.durable_checkpoint_hook import (
    BACKEND_NAME,
    DurableLocalBackend,
)

LOOPS = {
    'epoch': {
        'train_cfg': {'by_epoch': True, 'max_epochs': 3, 'val_interval': 1},
        'sampler': 'DefaultSampler',
        'interval': 1,
    },
    'iteration': {
        'train_cfg': {'by_epoch': False, 'max_iters': 9, 'val_interval': 3},
        'sampler': 'InfiniteSampler',
        'interval': 3,
    },
}


class Line(BaseModel):
    """A straight line fitted to points."""

    def __init__(self):
        super().__init__()
        self.line = nn.Linear(3, 1)

    def forward(self, x, y, mode='tensor'):
        error = (self.line(x)[:, 0] - y).square().mean()
        return {'loss': error} if mode == 'loss' else [{'error': error.item()}]


class Closeness(BaseMetric):
    """Rises as the error falls, so that each validation finds a new best checkpoint."""

    default_prefix = 'toy'

    def process(self, data_batch, data_samples):
        self.results.extend(data_samples)

    def compute_metrics(self, results):
        return {'acc': -sum(item['error'] for item in results) / len(results)}


class Points(torch.utils.data.Dataset):
    def __len__(self):
        return 6

    def __getitem__(self, index):
        x = torch.randn(3, generator=torch.Generator().manual_seed(index))
        return {'x': x, 'y': x.sum()}


class QuietRunner(Runner):
    def _log_env(self, env_cfg):
        """Collecting environment information takes longer than the training."""


def kill_in_write(count, stage):
    """Replace the backend by one that kills its process at the `count`-th write.

    `stage` is 'half' (half of the bytes are written), 'whole' (the file stands) or 'stall' (half
    is written, then nothing happens until someone else kills the process).
    """
    writes = iter(range(count + 1))

    class Killing(DurableLocalBackend):
        def put(self, obj, filepath):
            last = next(writes) == count
            if last and stage != 'whole':
                Path.write_bytes = write_half  # for good: the process ends in it
            super().put(obj, filepath)
            if last:
                os.kill(os.getpid(), signal.SIGKILL)

    def write_half(path, content):
        with path.open('wb') as file:
            file.write(content[: len(content) // 2])
        if stage == 'half':
            os.kill(os.getpid(), signal.SIGKILL)
        stalled_mark(path.parent).touch()
        time.sleep(600)

    register_backend(BACKEND_NAME, Killing, force=True)
    # The pointer file `last_checkpoint` is written by the class itself.
    durable_checkpoint_hook.DurableLocalBackend = Killing


def stalled_mark(work_dir):
    """File that appears when a 'stall' is reached."""
    return work_dir.with_name(f'{work_dir.name} is stalled')


def train(work_dir, loop, resume, **hooks):
    torch.set_num_threads(1)
    recipe = LOOPS[loop]

    def loader(sampler):
        return {
            'batch_size': 2,
            'num_workers': 0,
            'dataset': Points(),
            'sampler': {'type': sampler, 'shuffle': True},
            'collate_fn': {'type': 'default_collate'},
        }

    runner = QuietRunner(
        model=Line(),
        work_dir=str(work_dir),
        train_dataloader=loader(recipe['sampler']),
        train_cfg=recipe['train_cfg'],
        val_dataloader=loader('DefaultSampler'),
        val_cfg={},
        val_evaluator=[Closeness()],
        optim_wrapper={'optimizer': {'type': 'AdamW', 'lr': 0.05}},
        param_scheduler={'type': 'LinearLR', 'start_factor': 0.1, 'end': 9, 'by_epoch': False},
        default_hooks={
            'checkpoint': {
                'type': 'DurableCheckpointHook',
                'by_epoch': loop == 'epoch',
                'interval': recipe['interval'],
                'max_keep_ckpts': 1,
                'save_best': 'toy/acc',
            },
            'resume': {'type': 'ResumeHook'},
            **hooks,
        },
        randomness={'seed': 0},
        log_level='ERROR',
        resume=resume,
        experiment_name=f'{os.getpid()}',
    )
    runner.train()


def in_a_process(function, *args):
    """Call a function in a fork and return how it ended (0, or minus the signal)."""
    child = os.fork()
    if child == 0:
        sink = os.open(os.devnull, os.O_WRONLY)
        os.dup2(sink, 1)
        try:
            function(*args)
        except BaseException:
            import traceback

            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def killed_training(work_dir, loop, count, stage):
    kill_in_write(count, stage)
    train(work_dir, loop, False)


def disk(work_dir):
    """Content of the folder: file names, whether each loads, and the pointer's target."""
    pointer = work_dir / 'last_checkpoint'
    broken = []
    for path in sorted(work_dir.glob('*.pth')):
        try:
            torch.load(path, map_location='cpu', weights_only=False)
        except Exception:
            broken.append(path.name)
    return {
        'files': sorted(path.name for path in work_dir.iterdir() if path.is_file()),
        'broken': broken,
        'pointer': Path(pointer.read_text()).name if pointer.exists() else None,
    }


def weights(work_dir):
    """Digest of the last checkpoint's weights, optimizer state and schedule, bit for bit."""
    path = (work_dir / 'last_checkpoint').read_text()
    saved = torch.load(path, map_location='cpu', weights_only=False)
    digest = hashlib.sha256()
    for name, value in saved['state_dict'].items():
        digest.update(name.encode() + value.numpy().tobytes())
    for state in saved['optimizer']['state'].values():
        for name, value in sorted(state.items()):
            digest.update(name.encode() + value.numpy().tobytes())
    digest.update(repr([group['lr'] for group in saved['optimizer']['param_groups']]).encode())
    return digest.hexdigest()


def kill_from_outside(work_dir, loop, count):
    """Kill a training that stalls in its `count`-th write; returns what was on disk."""
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        killed_training(work_dir, loop, count, 'stall')
        os._exit(1)
    try:
        deadline = time.monotonic() + 60
        while not stalled_mark(work_dir).exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert stalled_mark(work_dir).exists(), 'no write came to a halt within a minute'
        meanwhile = disk(work_dir)
    finally:
        os.kill(child, signal.SIGKILL)
        end = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return end, meanwhile


def main(loop, folder):
    whole = folder / 'unbroken'
    assert in_a_process(train, whole, loop, False) == 0
    report = [{'moment': whole.name, 'after': disk(whole), 'weights': weights(whole)}]
    # A round of saving is five writes: checkpoint, pointer, best, checkpoint with the new best
    # in it, pointer. Killed are the very first write and each one of the second round, and what
    # follows a write where the next thing done is a deletion.
    moments = {'half': (0, 5, 6, 7, 8, 9), 'whole': (5, 6, 9), 'stall': (5,)}
    for stage, counts in moments.items():
        for count in counts:
            work_dir = folder / f'{stage} {count}'
            if stage == 'stall':
                end, killed = kill_from_outside(work_dir, loop, count)
            else:
                end = in_a_process(killed_training, work_dir, loop, count, stage)
                killed = disk(work_dir)
            row = {'moment': work_dir.name, 'end': end, 'killed': killed}
            row['resumed'] = in_a_process(train, work_dir, loop, True)
            row['after'], row['weights'] = disk(work_dir), weights(work_dir)
            report.append(row)
    print(json.dumps(report))


if __name__ == '__main__':
    main(sys.argv[1], Path(sys.argv[2]))
