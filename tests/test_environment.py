"""Which mm packages fit each other, and what is said when they do not."""

import subprocess
import sys
from pathlib import Path

import mmcv.ops
import pytest
import torch

from clipself_mm import environment
from clipself_mm.environment import describe_problem, has_compiled_ops, installed_versions

ROOT = Path(__file__).parents[1]
ONEDL = {
    'mmengine': {'onedl-mmengine': '0.10.12'},
    'mmcv': {'onedl-mmcv': '2.3.6'},
    'mmdet': {'onedl-mmdetection': '3.5.1'},
}
OPENMMLAB = {
    'mmengine': {'mmengine': '0.10.7'},
    'mmcv': {'mmcv': '2.1.0'},
    'mmdet': {'mmdet': '3.3.0'},
}


@pytest.mark.parametrize('found', [ONEDL, OPENMMLAB])
def test_both_distributions_fit(found):
    assert describe_problem(found, compiled_ops=True) is None


def test_local_and_post_release_versions_are_read():
    found = {**ONEDL, 'mmcv': {'onedl-mmcv': '2.3.0.post3+cu128'}}
    assert describe_problem(found, compiled_ops=True) is None


def test_missing_packages_are_named_with_both_commands():
    problem = describe_problem({**ONEDL, 'mmcv': {}, 'mmdet': {}}, compiled_ops=False)
    assert problem.startswith('mmcv, mmdet are missing')
    assert 'onedl-mmdetection==3.5.1' in problem
    assert "MMCV_WITH_OPS=1 pip install --no-build-isolation 'mmcv==2.1.0'" in problem


def test_classic_mmdet_with_a_newer_mmcv_is_refused():
    problem = describe_problem({**OPENMMLAB, 'mmcv': {'mmcv': '2.2.0'}}, compiled_ops=True)
    assert 'mmengine 0.10.7, mmcv 2.2.0, mmdet 3.3.0' in problem
    assert 'expected mmcv >=2.1,<2.2' in problem
    assert 'STACK=openmmlab' in problem
    assert 'STACK=onedl' not in problem


def test_old_mmengine_is_refused():
    problem = describe_problem({**OPENMMLAB, 'mmengine': {'mmengine': '0.9.1'}}, True)
    assert 'expected mmengine >=0.10.7,<1' in problem


def test_mmcv_without_ops_is_named():
    problem = describe_problem(ONEDL, compiled_ops=False)
    assert 'onedl-mmcv 2.3.6 is installed without its compiled ops' in problem
    assert 'pip uninstall -y onedl-mmcv' in problem


def test_two_distributions_of_one_module_are_refused():
    found = {**ONEDL, 'mmcv': {'onedl-mmcv': '2.3.6', 'mmcv': '2.1.0'}}
    problem = describe_problem(found, compiled_ops=True)
    assert 'onedl-mmcv 2.3.6 and mmcv 2.1.0 both provide `mmcv`' in problem


def test_this_environment_fits():
    found = installed_versions()
    assert all(len(installed) == 1 for installed in found.values())
    assert has_compiled_ops()
    assert describe_problem(found, has_compiled_ops()) is None


def test_import_error_carries_the_text(monkeypatch):
    monkeypatch.setattr(environment, 'has_compiled_ops', lambda: False)
    with pytest.raises(ImportError, match=r'clipself_mm needs .* without its compiled ops'):
        environment.require_mm_packages()


@pytest.mark.parametrize(('gpu', 'made_for'), [(False, 'not available'), (True, '12.8')])
def test_ops_fit_the_machine(monkeypatch, gpu, made_for):
    machine(monkeypatch, gpu, made_for)
    environment.require_mm_packages()


def test_ops_without_cuda_are_refused_where_there_is_a_gpu(monkeypatch):
    machine(monkeypatch, gpu=True, made_for='not available')
    monkeypatch.setattr(torch.version, 'cuda', '12.8')
    with pytest.raises(
        ImportError, match=r'compiled without CUDA, and torch \(CUDA 12\.8\)'
    ) as error:
        environment.require_mm_packages()
    ((name, number),) = installed_versions()['mmcv'].items()
    assert f"--no-cache-dir '{name}=={number}'" in str(error.value)
    assert 'FORCE_CUDA=1 MMCV_WITH_OPS=1' in str(error.value)


def machine(monkeypatch, gpu, made_for):
    """A machine with a GPU or without, and mmcv's ops as compiled for one or for none."""
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: gpu)
    monkeypatch.setattr(mmcv.ops, 'get_compiling_cuda_version', lambda: made_for)


def test_the_ops_here_say_what_they_were_made_for():
    """Both stacks answer with a version or with these words, and with nothing else."""
    made_for = mmcv.ops.get_compiling_cuda_version()
    assert made_for == 'not available' or made_for[0].isdigit()


def test_runs_as_a_script_without_site_packages():
    """-S hides every installed package, as in an environment that has none."""
    command = [sys.executable, '-S', ROOT / 'clipself_mm/environment.py']
    done = subprocess.run(command, capture_output=True, text=True, env={})
    assert done.returncode == 1
    assert 'mmengine, mmcv, mmdet are missing' in done.stderr
