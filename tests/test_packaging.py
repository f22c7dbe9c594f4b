"""What an installation holds, and that the lists of requirements agree with each other."""

import base64
import csv
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest
import yaml
from mmengine.config import Config
from PIL import Image

import clipself_mm
from clipself_mm.environment import STACKS, describe_problem
from clipself_mm.shapes import ShapesOV, render_scene

ROOT = Path(__file__).parents[1]
SOURCES = (
    'setup.py',
    'pyproject.toml',
    'MANIFEST.in',
    'README.md',
    'LICENSE',
    'model-index.yml',
    'clipself_mm',
    'clipself_mm_command.py',
    'configs',
    'projects',
    'tools',
)


@pytest.fixture(scope='module')
def checkout(tmp_path_factory):
    """A copy of the sources, since building writes beside them."""
    folder = tmp_path_factory.mktemp('checkout')
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            ignored = shutil.ignore_patterns('__pycache__', '.mim')
            shutil.copytree(source, folder / name, ignore=ignored)
        else:
            shutil.copy(source, folder / name)
    return folder


def build(checkout, kind):
    """Build with the hook pip calls; returns the file."""
    program = f'from setuptools import build_meta; print(build_meta.build_{kind}("dist"))'
    command = [sys.executable, '-c', program]
    done = subprocess.run(command, cwd=checkout, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return checkout / 'dist' / done.stdout.splitlines()[-1]


def contents(wheel):
    with ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def files_below(folder, pattern):
    return {path.relative_to(folder).as_posix() for path in folder.glob(pattern)}


@pytest.fixture(scope='module')
def wheel_file(checkout):
    return build(checkout, 'wheel')


@pytest.fixture(scope='module')
def wheel(wheel_file):
    return contents(wheel_file)


@pytest.fixture(scope='module')
def editable(checkout, wheel):  # after the wheel, so that its leftovers would be noticed
    return contents(build(checkout, 'editable'))


def test_wheel_holds_every_module_and_data_file(checkout, wheel):
    expected = files_below(checkout, 'clipself_mm/**/*.py')
    expected |= files_below(checkout, 'clipself_mm/datasets/vocabularies/*.json')
    expected |= files_below(checkout, 'clipself_mm/clip/*.json')
    expected |= files_below(checkout, 'clipself_mm/shapes/tiny_clip/*')
    expected |= files_below(checkout, 'clipself_mm/shapes/tiny_fvit/*')
    expected |= {'clipself_mm/py.typed', 'clipself_mm/web/page.css'}
    assert 'clipself_mm/shapes/tiny_clip/open_clip_model.safetensors' in expected
    assert 'clipself_mm/shapes/tiny_fvit/fvit_tiny.safetensors' in expected
    assert 'clipself_mm/clip/prompt_templates.json' in expected
    assert expected - set(wheel) == set()


def test_wheel_holds_configs_projects_and_tools_where_mim_looks(checkout, wheel):
    expected = {'model-index.yml'} | files_below(checkout, 'configs/**/*.py')
    expected |= files_below(checkout, 'projects/**/*.py')
    expected |= files_below(checkout, 'tools/*.py') | files_below(checkout, 'tools/*.sh')
    expected |= files_below(checkout, 'projects/**/*.py')
    assert 'projects/reproduce/demo.py' in expected
    shipped = {name for name in wheel if name.startswith('clipself_mm/.mim/')}
    assert {f'clipself_mm/.mim/{name}' for name in expected} - shipped == set()
    train = wheel['clipself_mm/.mim/tools/train.py']
    assert train == (checkout / 'tools/train.py').read_bytes()


@pytest.mark.slow
def test_tools_of_a_wheel_find_the_projects_beside_them(wheel, tmp_path):
    """From any folder. That no one else can import them: `test_wheel_holds_nothing_else`."""
    for name, data in wheel.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    env = {**os.environ, 'PYTHONPATH': str(tmp_path)}
    tool = tmp_path / 'clipself_mm/.mim/tools/reproduce.py'
    command = [sys.executable, tool, '2', '--shapes', '--dry-run']
    (tmp_path / 'empty').mkdir()
    options = dict(cwd=tmp_path / 'empty', env=env, capture_output=True, text=True)
    done = subprocess.run(command, **options)
    assert done.returncode == 0, done.stderr[-2000:]
    assert f'{tool.parent}/train.py {tool.parents[1]}/configs/shapes/' in done.stdout


@pytest.mark.slow
def test_the_command_of_a_wheel_detects_at_once(wheel_file, tmp_path):
    """Installed by pip; from an empty folder, without naming a config, weights or a checkout."""
    options = ['--no-deps', '--no-index', '--target', tmp_path / 'site', wheel_file]
    pip = [sys.executable, '-m', 'pip', 'install', *options]
    subprocess.run(pip, check=True, capture_output=True)
    empty = tmp_path / 'empty'
    empty.mkdir()
    shapes = ShapesOV()
    image = render_scene(1, 5_000_003, shapes.style).image
    Image.fromarray(image).save(empty / 'photo.png')
    env = {**os.environ, 'PYTHONPATH': str(tmp_path / 'site'), 'OMP_NUM_THREADS': '1'}
    command = [tmp_path / 'site/bin/clipself-mm', 'detect', 'photo.png', '--texts', 'blue ring']
    done = subprocess.run(command, cwd=empty, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads((empty / 'work_dirs/image_demo/preds/photo.json').read_text())
    assert {*found['label_names']} == {'blue ring'}
    assert max(found['scores']) > 0.5
    version = [*command[:1], '--version']
    assert subprocess.check_output(version, env=env, text=True).strip() == clipself_mm.__version__


def test_wheel_holds_nothing_else(wheel):
    tops = {name.split('/')[0] for name in wheel}
    assert tops == {
        'clipself_mm',
        'clipself_mm_command.py',
        f'clipself_mm-{clipself_mm.__version__}.dist-info',
    }
    assert not any('__pycache__' in name for name in wheel)


def test_editable_installation_links_mim_in_the_checkout(checkout, editable):
    mim = checkout / 'clipself_mm/.mim'
    for name in ('configs', 'projects', 'tools', 'model-index.yml'):
        assert (mim / name).is_symlink()
        assert (mim / name).resolve() == checkout / name


def test_editable_installation_is_a_path_to_the_checkout(checkout, editable):
    (path_file,) = [name for name in editable if name.endswith('.pth')]
    assert editable[path_file].decode().strip() == str(checkout)
    assert not any(name.endswith('.py') and '.mim/' not in name for name in editable)


def test_editable_signposts_lead_to_configs_and_tools(checkout, editable, tmp_path):
    """In site-packages, where mim and mmengine look for an editable installation too.

    The tools they lead to find the projects in the checkout.
    """
    expected = files_below(checkout, 'configs/**/*.py') | files_below(checkout, 'tools/*.py')
    shipped = {name for name in editable if name.startswith('clipself_mm/.mim/')}
    assert shipped == {f'clipself_mm/.mim/{name}' for name in {*expected, 'model-index.yml'}}
    name = 'configs/shapes/clipself_tiny_patches_shapes-ov.py'
    signpost = tmp_path / Path(name).name
    signpost.write_bytes(editable[f'clipself_mm/.mim/{name}'])
    assert Config.fromfile(signpost).to_dict() == Config.fromfile(checkout / name).to_dict()
    (tmp_path / 'train.py').write_bytes(editable['clipself_mm/.mim/tools/train.py'])
    train = checkout / 'tools/train.py'
    kept = train.read_bytes()
    train.write_text('print(__name__, __file__)')
    command = [sys.executable, 'train.py']
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    train.write_bytes(kept)
    assert done.stdout.split() == ['__main__', str(train)]


def test_editable_record_lists_every_file_with_its_digest(editable):
    (record,) = [name for name in editable if name.endswith('/RECORD')]
    rows = {row[0]: row[1:] for row in csv.reader(io.StringIO(editable.pop(record).decode()))}
    assert rows.pop(record) == ['', '']
    assert rows.keys() == editable.keys()
    for name, data in editable.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip('=')
        assert rows[name] == [f'sha256={digest}', str(len(data))]


def pins(name):
    """Distribution -> version of the lines `name==version` of requirements/NAME.txt."""
    text = (ROOT / f'requirements/{name}.txt').read_text()
    return dict(re.findall(r'^([\w-]+)==([\w.]+)', text, flags=re.MULTILINE))


@pytest.mark.parametrize('stack', STACKS, ids=lambda stack: stack.name)
def test_pins_are_those_the_error_message_names(stack):
    found = {**pins(f'mmcv-{stack.name}'), **pins(f'mm-{stack.name}')}
    named = dict(package.split('==') for package in stack.packages)
    assert named.items() <= found.items()


@pytest.mark.parametrize('stack', STACKS, ids=lambda stack: stack.name)
def test_pins_fit_each_other(stack):
    modules = ('mmcv', 'mmengine', 'mmdet')
    packages = [package.split('==') for package in stack.packages]
    found = {
        module: {name: number} for module, (name, number) in zip(modules, packages, strict=True)
    }
    assert describe_problem(found, compiled_ops=True) is None


def test_model_index_lists_every_config_that_trains_or_transfers():
    models = yaml.safe_load((ROOT / 'model-index.yml').read_text())['Models']
    listed = [model['Config'] for model in models]
    assert len(listed) == len(set(listed))
    assert [path for path in listed if not (ROOT / path).is_file()] == []
    expected = {
        path.relative_to(ROOT).as_posix()
        for folder in ('clipself', 'fvit', 'region_text', 'rpn', 'transfer')
        for path in ROOT.glob(f'configs/{folder}/**/*.py')
        if not path.stem.endswith(('_template', '_ov-coco_proposals'))
        and not path.stem.startswith('pseudo-labels_')
    }
    assert expected - set(listed) == set()
    assert [model['Name'] for model in models] == [Path(path).stem for path in listed]


def test_models_of_the_index_are_in_a_collection_of_it():
    index = yaml.safe_load((ROOT / 'model-index.yml').read_text())
    collections = [collection['Name'] for collection in index['Collections']]
    assert {model['In Collection'] for model in index['Models']} == set(collections)


def test_continuous_integration_runs_both_gates():
    lines = (ROOT / '.ci/run').read_text().splitlines()
    assert lines[0] == '#!/usr/bin/env bash'
    assert 'set -euo pipefail' in lines
    assert lines.index('make lint') < lines.index('make test')


def test_the_workflow_runs_these_gates_on_both_stacks():
    job = yaml.safe_load((ROOT / '.github/workflows/ci.yml').read_text())['jobs']['run']
    assert sorted(job['strategy']['matrix']['stack']) == sorted(stack.name for stack in STACKS)
    assert job['env'] == {'STACK': '${{ matrix.stack }}'}
    assert job['steps'][-1] == {'run': '.ci/run'}


@pytest.mark.parametrize('stack', STACKS, ids=lambda stack: stack.name)
def test_the_gates_take_the_stack_from_the_environment(stack):
    env = {'PATH': os.environ['PATH'], 'STACK': stack.name}
    command = ['make', '-n', 'lint', 'test']
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=True)
    assert {'onedl': '.venv/bin', 'openmmlab': '.venv-openmmlab/bin'}[stack.name] in done.stdout


def test_hooks_before_a_commit_have_the_versions_of_make_lint():
    repos = yaml.safe_load((ROOT / '.pre-commit-config.yaml').read_text())['repos']
    hooks = {hook['id']: repo['rev'].lstrip('v') for repo in repos for hook in repo['hooks']}
    dev = pins('dev')
    versions = {name: dev['ruff'] for name in ('ruff-check', 'ruff-format')}
    assert hooks == {**versions, 'codespell': dev['codespell']}
