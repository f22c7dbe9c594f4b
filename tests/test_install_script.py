"""requirements/install.sh and the Makefile, with a stand-in for Python that only notes commands.

Nothing is installed: the stand-in writes each `pip install` into a file and answers to imports.
"""

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
INHERITED = (
    'MAKEFLAGS',
    'MAKELEVEL',
    'MFLAGS',
    'STACK',
    'VENV',
    'PYTHON',
    'JOBS',
)  # from make test

# `complete` and `ops` are files that stand for what can be imported; a pip run that names mmcv's
# requirements prints what ninja prints and makes `ops`, unless `broken` says that it fails.
STAND_IN = """#!/usr/bin/env bash
here=$(dirname "$0")/..
case "$*" in
    '--version') echo 'Python 3.11.0' ;;
    '-c import mmcv.ops'*) [ -e "$here/ops" ] && [ ! -e "$here/no_cuda_ops" ] ;;
    '-c import os, torch'*) echo 12.8; [ ! -e "$here/no_nvcc" ] ;;
    '-m pip install'*requirements/mmcv-*)
        echo "$* MMCV_WITH_OPS=$MMCV_WITH_OPS" >> "$here/pip"
        echo '  [1/2] c++ -O3 bbox.cpp'
        [ -e "$here/broken" ] && { echo 'fatal error: Python.h: No such file'; exit 1; }
        echo '  [2/2] c++ -O3 nms.cpp'
        case "$*" in *--force-reinstall*) rm -f "$here/no_cuda_ops" ;; esac
        if [ ! -e "$here/stale" ]; then touch "$here/ops"; else rm "$here/stale"; fi ;;
    '-m pip install'*no_deps.txt) echo "$*" >> "$here/pip"; touch "$here/complete" ;;
    '-m pip install'*) echo "$*" >> "$here/pip" ;;
    *environment.py | '-') [ -e "$here/complete" ] && [ -e "$here/ops" ] ;;
    '-c import cv2') ;;
    '-c import pip') [ ! -e "$here/no_pip" ] ;;
    '-m ensurepip') rm "$here/no_pip" ;;
    *) echo "unexpected: $*" >&2; exit 1 ;;
esac
"""


@pytest.fixture
def venv(tmp_path):
    """An environment whose Python is the stand-in; nothing can be imported yet."""
    python = tmp_path / 'venv/bin/python'
    python.parent.mkdir(parents=True)
    python.write_text(STAND_IN)
    python.chmod(0o755)
    return tmp_path / 'venv'


def install(stack, venv, *python, **env):
    command = ['bash', ROOT / 'requirements/install.sh', stack, venv, *python]
    env = {**os.environ, 'CXX': 'true', 'CHROMIUM': 'true', **env}
    return subprocess.run(command, capture_output=True, text=True, env=env, cwd='/')


def pip_runs(venv):
    """The `pip install` commands that were asked for, without their common beginning."""
    log = venv / 'pip'
    beginning = '-m pip install --disable-pip-version-check '
    return (
        [run.removeprefix(beginning) for run in log.read_text().splitlines()]
        if log.exists()
        else []
    )


def test_a_complete_environment_is_used_as_it_is(venv):
    (venv / 'complete').touch()
    (venv / 'ops').touch()
    done = install('onedl', venv)
    assert done.returncode == 0, done.stderr
    assert 'used as it is' in done.stdout
    assert pip_runs(venv) == []
    assert (venv / '.clipself_mm-onedl.stamp').read_text() == 'used as it is\n'


@pytest.mark.parametrize('stack', ['onedl', 'openmmlab'])
def test_an_empty_environment_is_filled_in_order(venv, stack):
    done = install(stack, venv)
    assert done.returncode == 0, done.stderr
    runs = pip_runs(venv)
    files = [re.findall(r'-r requirements/(\w+)', run) for run in runs]
    assert [name for names in files for name in names] == [
        'build',
        'mmcv',
        'mm',
        'runtime',
        'dev',
        'no_deps',
    ]
    (ops,) = [run for run, names in zip(runs, files, strict=True) if names == ['mmcv']]
    assert '--no-build-isolation' in ops  # it is built against the torch that is there
    assert 'MMCV_WITH_OPS=1' in ops
    pins = {f'build-{stack}.txt', f'mm-{stack}.txt'}
    for run, names in zip(runs, files, strict=True):
        given = set(re.findall(r'-c requirements/(\S+)', run))
        assert given == (pins if {'mmcv', 'mm'} & set(names) else set())
    (own,) = [run for run in runs if run.endswith('-e .')]
    assert '--no-deps' in own
    assert (venv / f'.clipself_mm-{stack}.stamp').read_text() == 'built\n'


def test_an_environment_without_pip_gets_it(venv):
    (venv / 'no_pip').touch()
    done = install('onedl', venv)
    assert done.returncode == 0, done.stderr
    assert not (venv / 'no_pip').exists()
    assert len(pip_runs(venv)) == 5


def test_the_build_shows_counts_and_keeps_the_log(venv):
    done = install('onedl', venv)
    assert '   mmcv ops [1/2]\n   mmcv ops [2/2]\n' in done.stdout
    assert 'bbox.cpp' not in done.stdout
    assert 'bbox.cpp' in (venv / 'mmcv-build.log').read_text()


def test_ops_that_are_there_are_not_built_again(venv):
    (venv / 'ops').touch()
    done = install('onedl', venv, CXX='no-such-compiler')
    assert done.returncode == 0, done.stderr
    assert not any('mmcv-onedl' in run for run in pip_runs(venv))


def test_a_cached_wheel_of_another_torch_is_built_again(venv):
    """The first installation gives ops that cannot be imported."""
    (venv / 'stale').touch()
    done = install('onedl', venv)
    assert done.returncode == 0, done.stderr
    builds = [run for run in pip_runs(venv) if 'mmcv-onedl' in run]
    assert len(builds) == 2
    assert '--no-cache-dir --force-reinstall --no-deps' not in builds[0]
    assert '--no-cache-dir --force-reinstall --no-deps' in builds[1]


def test_ops_without_cuda_are_built_again_where_there_is_a_gpu(venv):
    """Everything is there, as a login node left it; pip alone would be content."""
    for name in ('complete', 'ops', 'no_cuda_ops'):
        (venv / name).touch()
    done = install('onedl', venv)
    assert done.returncode == 0, done.stderr
    builds = [run for run in pip_runs(venv) if 'mmcv-onedl' in run]
    assert '--no-cache-dir --force-reinstall --no-deps' in builds[-1]
    assert (venv / '.clipself_mm-onedl.stamp').read_text() == 'built\n'


def test_a_missing_nvcc_is_noticed_before_the_long_step(venv):
    (venv / 'no_nvcc').touch()
    done = install('onedl', venv)
    assert done.returncode == 1
    assert 'CUDA 12.8' in done.stderr
    assert 'CUDA_HOME=/usr/local/cuda-12.8 make env' in done.stderr
    assert not any('mmcv-onedl' in run for run in pip_runs(venv))


def test_a_failed_build_shows_the_log_and_the_remedy(venv):
    (venv / 'broken').touch()
    done = install('onedl', venv)
    assert done.returncode == 1
    assert 'fatal error: Python.h: No such file' in done.stderr
    assert 'apt-get install g++ python3-dev' in done.stderr
    assert not (venv / '.clipself_mm-onedl.stamp').exists()


def test_a_missing_compiler_is_noticed_before_anything_is_installed(venv):
    done = install('onedl', venv, CXX='no-such-compiler')
    assert done.returncode == 1
    assert 'no-such-compiler' in done.stderr
    assert pip_runs(venv) == []


@pytest.mark.parametrize('user', ['0', '1000'])
@pytest.mark.parametrize('there', [True, False], ids=['used as it is', 'built'])
def test_a_missing_browser_is_installed_where_that_is_allowed(venv, tmp_path, user, there):
    if there:
        (venv / 'complete').touch()
        (venv / 'ops').touch()
    commands = tmp_path / 'commands'
    commands.mkdir()
    asked = tmp_path / 'asked'
    for name, body in {'apt-get': f'echo "$*" >> {asked}', 'id': f'echo {user}'}.items():
        (commands / name).write_text(f'#!/bin/sh\n{body}\n')
        (commands / name).chmod(0o755)
    path = f'{commands}{os.pathsep}{os.environ["PATH"]}'
    done = install('onedl', venv, PATH=path, CHROMIUM='no-such-browser')
    assert done.returncode == 0, done.stderr
    if user == '0':
        assert asked.read_text() == 'install -y --no-install-recommends chromium\n'
    else:
        assert not asked.exists()
        assert 'tests of the web page in a browser will be skipped' in done.stdout


def test_the_other_stack_is_not_mixed_in(venv):
    (venv / 'lib/python3.11/site-packages/onedl_mmcv-2.3.6.dist-info').mkdir(parents=True)
    done = install('openmmlab', venv)
    assert done.returncode == 1
    assert f'{venv} ' in done.stderr
    assert 'STACK=openmmlab' in done.stderr
    assert pip_runs(venv) == []


def test_unknown_stack(venv):
    done = install('mmlab', venv)
    assert done.returncode == 1
    assert 'STACK=mmlab' in done.stderr


def test_an_interpreter_that_does_not_run_is_passed_over_with_its_reason(tmp_path):
    shim = tmp_path / 'python3.11'
    shim.write_text('#!/bin/sh\necho "shim: python3.11: command not found" >&2; exit 127\n')
    shim.chmod(0o755)
    done = install('onedl', tmp_path / 'venv', str(shim))
    assert done.returncode == 1
    assert f'{shim}: shim: python3.11: command not found' in done.stderr
    assert 'Python' in done.stderr
    assert not (tmp_path / 'venv').exists()


def make(*words, **env):
    """Runs make as from a fresh shell, also when the tests themselves were started by make."""
    clean = {key: os.environ[key] for key in os.environ if key not in INHERITED}
    return subprocess.run(
        ['make', '-C', ROOT, '--no-print-directory', *words],
        capture_output=True,
        text=True,
        env={**clean, **env},
    )


def test_make_alone_explains_the_targets():
    done = make()
    assert done.returncode == 0
    for target in ('demo', 'test', 'test-fast', 'lint', 'env', 'clean'):
        assert f'make {target} ' in done.stdout


def test_a_folder_with_a_space_is_refused():
    done = make('-n', 'test', 'VENV=my env')
    assert done.returncode != 0
    assert 'VENV=my env' in done.stderr


@pytest.mark.parametrize('target', ['demo', 'test', 'test-fast', 'lint'])
def test_make_builds_the_environment_first(tmp_path, target):
    lines = make('-n', target, f'VENV={tmp_path}/v').stdout.splitlines()
    assert lines[0].endswith(f"bash requirements/install.sh 'onedl' '{tmp_path}/v' ''")
    assert lines[1].startswith(f'{tmp_path}/v/bin/python ')


def test_make_env_builds_the_classic_stack_beside_the_other():
    done = make('-n', '-B', 'env', 'STACK=openmmlab', 'PYTHON=python3.10')
    build, check = done.stdout.splitlines()
    assert build.endswith("'openmmlab' '.venv-openmmlab' 'python3.10'")
    assert check.startswith('.venv-openmmlab/bin/python ')


def test_make_runs_with_the_checkout_first(venv):
    """The environment may hold another checkout's installation; this one's code is meant."""
    (venv / 'complete').touch()
    (venv / 'ops').touch()
    python = venv / 'bin/python'
    python.write_text(
        STAND_IN.replace(
            '*) echo "unexpected',
            "'-m ruff'* | '-m codespell'* | '-m mypy'*) echo \"$PYTHONPATH\" ;;\n"
            '    *) echo "unexpected',
        )
    )
    done = make('lint', f'VENV={venv}', PYTHONPATH='/elsewhere')
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == f'{ROOT}:/elsewhere'
