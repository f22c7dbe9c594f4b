"""Run by a test: signal a small training at several steps, resume it, and report.

`python interrupt_matrix.py LOOP FOLDER` trains once unbroken, then once for each moment, followed
by a run that resumes. The report, a JSON list on standard output, has exit codes, files and
digests of the weights.
"""

import json
import os
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from mmengine.hooks import Hook

from clipself_mm.hooks import InterruptHook
from tests.hooks.kill_matrix import disk, train, weights


class SignalAt(Hook):
    """Sends a signal to its own process in the middle of a step."""

    def __init__(self, number, step):
        self.number, self.step = number, step

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter + 1 == self.step:
            os.kill(os.getpid(), self.number)


def run(work_dir, loop, resume, *more):
    """Train in a fork; its exit code."""
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        code = 1
        try:
            hooks = {f'hook_{index}': hook for index, hook in enumerate(more)}
            train(work_dir, loop, resume, interrupt=InterruptHook(), **hooks)
            code = 0
        except SystemExit as end:
            code = end.code
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main(loop, folder):
    whole = folder / 'unbroken'
    assert run(whole, loop, False) == 0
    report = [{'weights': weights(whole), 'after': disk(whole)}]
    for number, step in ((signal.SIGUSR1, 1), (signal.SIGTERM, 5), (signal.SIGTERM, 6), (15, 9)):
        work_dir = folder / f'{number}-{step}'
        row = {'step': step, 'end': run(work_dir, loop, False, SignalAt(number, step))}
        row['signalled'] = disk(work_dir)
        row['resumed'] = run(work_dir, loop, True)
        row['weights'], row['after'] = weights(work_dir), disk(work_dir)
        report.append(row)
    print(json.dumps(report))


if __name__ == '__main__':
    main(sys.argv[1], Path(sys.argv[2]))
