"""tools/diff_configs.py: which keys of which configs two revisions differ in."""

import subprocess

import pytest

from tests.commands import ROOT
from tests.forks import Fork

pytestmark = pytest.mark.slow

BASE = "optimizer = dict(type='SGD', lr=0.1)\n"
OLD = """
_base_ = './_base_/schedule.py'
model = dict(type='A', size=(1, 2), gone=None)
pipeline = [dict(type='Load'), dict(type='Resize', scale=3)]
"""
NEW = """
_base_ = './_base_/schedule.py'
model = dict(type='A', size=(1, 3), extra={})
pipeline = [dict(type='Load'), dict(type='Resize', scale=4)]
"""


def write(root, files):
    for name, text in files.items():
        path = root / 'configs' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.fixture
def repository(tmp_path):
    """A first commit, and a working tree that renamed one config and changed two."""

    def git(*arguments):
        who = ('-c', 'user.name=a', '-c', 'user.email=a@b.c')
        subprocess.run(['git', *who, *arguments], cwd=tmp_path, check=True, capture_output=True)

    git('init')
    write(tmp_path, {'_base_/schedule.py': BASE, 'same.py': BASE, 'two.py': OLD})
    write(tmp_path, {'sub/one.py': OLD.replace('./_base_', '../_base_')})
    git('add', '.')
    git('commit', '-m', 'first')
    (tmp_path / 'configs/sub/one.py').unlink()
    write(tmp_path, {'sub/renamed.py': NEW.replace('./_base_', '../_base_'), 'two.py': NEW})
    (tmp_path / 'configs/_base_/schedule.py').write_text(BASE.replace('0.1', '0.2'))
    return tmp_path


def diff(cwd, *arguments):
    done = Fork([ROOT / 'tools/diff_configs.py', *arguments], cwd).wait()
    return done.returncode, done.stdout, done.stderr


TWO = """\
two.py
  ~ optimizer.lr: 0.1 -> 0.2
  ~ model.size: (1, 2) -> (1, 3)
  - model.gone: None
  ~ pipeline.1.scale: 3 -> 4
  + model.extra: {}
"""


def test_changed_keys_and_configs_of_one_side_are_named(repository):
    code, out, _ = diff(repository, 'HEAD')
    assert code == 1
    assert out.startswith(TWO)
    assert 'only in HEAD: 1\n  sub/one.py\n' in out
    assert 'only in tree: 1\n  sub/renamed.py\n' in out
    assert 'compared 2 configs, 1 differ' in out
    assert '    1 x ~ optimizer.lr: 0.1 -> 0.2' in out


def test_a_map_pairs_renamed_configs_with_the_options_that_restore_them(repository):
    entry = 'sub/one.py=configs/sub/renamed.py model.size=(1,2)'
    keys = ['model.gone', 'model.extra', 'pipeline.*', 'optimizer.lr']
    command = ['HEAD', '--only', 'sub/*', '--ignore', *keys, '--map', entry]
    assert diff(repository, *command)[:2] == (0, 'compared 1 configs, 0 differ\n')
    (repository / 'map.txt').write_text(f'# renamed\n{entry}\n')
    assert diff(repository, *command[:-1], 'map.txt')[0] == 0
    code, out, _ = diff(repository, 'HEAD', '--map', 'sub/one.py=sub/renamed.py', '--only', 'sub/*')
    assert code == 1
    assert out.startswith('sub/one.py -> sub/renamed.py\n  ~ optimizer.lr: 0.1 -> 0.2\n')


def test_variables_can_be_left_out(repository):
    _, out, _ = diff(repository, 'HEAD', '--runner', '--only', 'two.py')
    assert 'model.size' in out
    assert 'pipeline' not in out


def test_faults_are_named(repository):
    code, _, error = diff(repository, 'no-such-revision')
    assert code == 1
    assert 'no-such-revision' in error
    code, _, error = diff(repository, 'HEAD', '--map', 'a.py=b.py')
    assert code == 1
    assert "no such configs: ['a.py', 'b.py']" in error
    (repository / 'configs/two.py').write_text('x = undefined')
    code, _, error = diff(repository, 'HEAD')
    assert code == 1
    assert 'two.py: ' in error
    assert diff(repository, '--help')[0] == 0
