"""Reads mutated files in a child process and says how each reading ended.

`equal` and `different` are to the reading of the original; `error` is one error of the package that
names the file. Anything else is a text that says what went wrong: another error, memory, a signal,
a reading that never ends.
"""

import contextlib
import faulthandler
import gc
import json
import logging
import os
import reprlib
import resource
import shutil
import signal
import traceback
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).parents[2]
RIGHT = ('equal', 'different', 'error')
MEMORY = 2**26
"""Bytes that a reading may take: the files are below 1 MB, a library's first use takes some MB."""
SECONDS = 10
ERRORS = (ValueError, OSError, FileNotFoundError, IsADirectoryError)


def same(one, other):
    """Whether two results are equal, to the last bit and type."""
    if type(one) is not type(other):
        return False
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and one.shape == other.shape and _bits(one) == _bits(other)
    if isinstance(one, np.ndarray):
        if one.dtype == object:
            return same(one.tolist(), other.tolist())
        return (one.dtype, one.shape) == (other.dtype, other.shape) and (
            one.tobytes() == other.tobytes()
        )
    if isinstance(one, Mapping):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    if hasattr(one, '__dict__'):
        return same(vars(one), vars(other))
    return repr(one) == repr(other)  # nan equals itself


def _bits(tensor):
    return tensor.detach().contiguous().flatten().view(torch.uint8).numpy().tobytes()


def form(result):
    """A result without its numbers: keys, types and shapes."""
    if isinstance(result, (torch.Tensor, np.ndarray)):
        return f'{result.dtype} {tuple(result.shape)}'
    if isinstance(result, Mapping):
        return {key: form(value) for key, value in result.items()}
    if isinstance(result, (list, tuple)):
        return [form(value) for value in result]
    return form(vars(result)) if hasattr(result, '__dict__') else type(result).__name__


def read_all(folder, name, read, cases, allowed, work, names=()):
    """How the reading of each mutation ended.

    Args:
        folder: Folder of the file and of those that belong to it.
        name: Name of the file to mutate.
        read: Reads the file of a path; everything that a reader would use of it.
        cases: Labels and contents, None for a folder.
        allowed: Function of original, result and content: whether a different result is right.
        work: Empty folder.
        names: Other files that an error may name.

    Returns:
        Label to `equal`, `different`, `error`, or what went wrong.
    """
    cases = list(cases)
    assert len({label for label, _ in cases}) == len(cases)
    found = {}
    while len(found) < len(cases):
        rest = cases[len(found) :]
        pipe, entry = os.pipe()
        child = os.fork()
        if not child:
            _child(folder, name, read, rest, allowed, Path(work), names, entry)
        os.close(entry)
        with open(pipe, encoding='utf-8') as lines:
            for line in lines:
                label, outcome = json.loads(line)
                found[label] = outcome
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            found[cases[len(found)][0]] = f'ended by {signal.Signals(os.WTERMSIG(status)).name}'
        elif status:
            raise RuntimeError('the original cannot be read')
    return found


def counts(found):
    """Number of each outcome; an AssertionError lists what went wrong."""
    wrong = [f'{label}: {text}' for label, text in found.items() if text not in RIGHT]
    assert not wrong, '\n'.join([f'{len(wrong)} of {len(found)} mutations', *wrong])
    return Counter(found.values())


def _child(folder, name, read, cases, allowed, work, names, entry):
    """Read the cases, and write a line for each; never returns."""
    try:
        gc.freeze()  # else each collection copies the pages of the parent
        faulthandler.disable()
        torch.set_num_threads(1)
        logging.disable()
        original = read(folder / name)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        with open(entry, 'w', encoding='utf-8') as lines:
            for number, (label, content) in enumerate(cases):
                copy = work / f'{os.getpid()}-{number}'
                shutil.copytree(folder, copy)
                path = copy / name
                path.unlink()
                path.mkdir() if content is None else path.write_bytes(content)
                signal.alarm(SECONDS)
                outcome = _outcome(path, read, original, content, allowed, names)
                signal.alarm(0)
                shutil.rmtree(copy)
                lines.write(json.dumps([label, outcome]) + '\n')
                lines.flush()
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def _outcome(path, read, original, content, allowed, names):
    before = _peak()
    with _limited(4 * MEMORY):
        try:
            result, error = read(path), None
        except Exception as raised:
            result, error = None, raised
    taken = _peak() - before
    if taken > MEMORY:
        return f'took {taken >> 20} MiB ({error!r:.80})'
    if error is None:
        if same(original, result):
            return 'equal'
        with contextlib.suppress(Exception):
            if allowed(original, result, content):
                return 'different'
        return f'is {reprlib.repr(result)}'
    for cause in _chain(error):
        if isinstance(cause, MemoryError) or "can't allocate" in str(cause):
            return f'asked for too much memory: {cause!r:.200}'
    named = any(str(path.parent / other) in str(error) for other in (path.name, *names))
    return 'error' if type(error) in ERRORS and named else f'{error!r:.300} at {_place(error)}'


def _place(error):
    """Where the package raised an error, or called what raised it."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if str(ROOT) in frame.filename]
    return f'{ours[-1].filename.removeprefix(str(ROOT))}:{ours[-1].lineno}'


def _chain(error):
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@contextlib.contextmanager
def _limited(more):
    """Private memory may grow by so many bytes: a file that asks for all of it harms nobody."""
    with contextlib.suppress(OSError):
        now = int(Path('/proc/self/statm').read_text().split()[5]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_DATA, (now + more, resource.RLIM_INFINITY))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (resource.RLIM_INFINITY,) * 2)


def nothing(original, result, content):
    """No other result is right: a check sum or the grammar tells."""
    return False


def same_form(original, result, content):
    """Other numbers are right, in the same keys, types and shapes."""
    return form(original) == form(result)


class Check:
    """Reads mutations of a file and keeps their outcomes; nothing in them may run."""

    def __init__(self, tmp_path):
        self.trap = tmp_path / 'trap'
        self.work = tmp_path / 'work'

    def __call__(self, path, read, cases, allowed=nothing, names=()):
        self.work.mkdir(exist_ok=True)
        found = read_all(path.parent, path.name, read, cases, allowed, self.work, names)
        assert not self.trap.exists()
        return counts(found)
