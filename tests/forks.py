"""Python scripts in processes of their own, without the seconds that torch and mm take to import.

A server process imports what others wrote and forks for each script. No module of this package is
in it, so that a script and its config bring all of ours themselves; only their compiled code is.
"""

import functools
import gc
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import tempfile
from multiprocessing import forkserver
from pathlib import Path
from unittest import mock

ROOT = Path(__file__).parents[1]
PYTHON_PATH = os.pathsep.join(filter(None, (str(ROOT), os.environ.get('PYTHONPATH'))))
PRELOADED = ['open_clip', 'mmdet.apis', 'mmdet.models', 'tests.compiled']
SERVER = multiprocessing.get_context('forkserver')


class Fork:
    """A running script: what `subprocess.Popen` would be, its output in files."""

    def __init__(self, words, cwd, output=(), **env):
        self.args = [str(word) for word in words]
        self.folder = tempfile.TemporaryDirectory()
        self.output = output or [Path(self.folder.name, name) for name in ('stdout', 'stderr')]
        start_server()
        self.process = SERVER.Process(target=run, args=(self.args, str(cwd), self.output, env))
        self.process.start()

    @property
    def pid(self):
        return self.process.pid

    def poll(self):
        return self.process.exitcode

    def wait(self, timeout=600):
        """Wait for the end; gives what `subprocess.run` would."""
        self.process.join(timeout)
        if self.process.exitcode is None:
            os.killpg(self.pid, signal.SIGKILL)
            raise subprocess.TimeoutExpired(self.args, timeout)
        out, err = (path.read_text() for path in self.output)
        return subprocess.CompletedProcess(self.args, self.process.exitcode, out, err)


class ForkedPopen(Fork):
    """`subprocess.Popen` of a Python script whose output goes into one file, as a `Fork`."""

    def __init__(self, command, *, stdout, stderr, stdin, env, pass_fds):
        interpreter, *words = command
        assert (interpreter, stderr, stdin) == (
            sys.executable,
            subprocess.STDOUT,
            subprocess.DEVNULL,
        )
        super().__init__(words, Path.cwd(), [Path(stdout.name)] * 2, **env)

    @property
    def returncode(self):
        return self.process.exitcode

    def terminate(self):
        self.process.terminate()


@functools.cache
def start_server():
    SERVER.set_forkserver_preload(PRELOADED)
    with mock.patch.dict(os.environ, PYTHONPATH=PYTHON_PATH):
        forkserver.ensure_running()


def run(words, cwd, output, env):
    """In the fork: be ``python words`` in a folder, as the leader of a process group."""
    os.setsid()
    for descriptor, path in enumerate(output, start=1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), descriptor)
    os.chdir(cwd)
    os.environ.update(env, OMP_NUM_THREADS='1', PYTHONPATH=PYTHON_PATH)
    multiprocessing.set_start_method(None, force=True)  # the default, not that of this process
    import torch

    torch.set_num_threads(1)
    format_each_config_once()
    gc.freeze()  # what was imported before is no garbage: not to be looked through
    sys.argv = words
    sys.path.insert(0, str(Path(words[0]).parent))
    runpy.run_path(words[0], run_name='__main__')


def format_each_config_once():
    """Let yapf lay out the text of a config once in this process.

    mmengine has it done four times at the start of a run and again for each checkpoint, which is
    nearly half of the time of a short training.
    """
    from mmengine.config import config
    from yapf.yapflib import yapf_api

    format_code, texts = yapf_api.FormatCode, {}

    @functools.wraps(format_code)
    def format_once(text, **options):
        key = text, repr(options)
        if key not in texts:
            texts[key] = format_code(text, **options)
        return texts[key]

    yapf_api.FormatCode = config.FormatCode = format_once  # onedl-mmengine takes it from yapf


def read_each_prompt_once():
    """Let open_clip turn a text into tokens once in this process.

    Each detector that is built reads the 4,000 prompts of its vocabulary.
    """
    from open_clip import SimpleTokenizer

    encode, tokens = SimpleTokenizer.encode, {}

    @functools.wraps(encode)
    def encode_once(self, text):
        key = text, self.clean_fn, self.vocab_size
        if key not in tokens:
            tokens[key] = encode(self, text)
        return [*tokens[key]]

    SimpleTokenizer.encode = encode_once
