"""The notebooks run from top to bottom, and what is stored in them is fit to be shown."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.forks import PYTHON_PATH

ROOT = Path(__file__).parents[1]
NOTEBOOKS = [
    pytest.param(path, id=path.stem) for path in sorted((ROOT / 'docs/notebooks').glob('*.ipynb'))
]
TEXT = re.compile(r'(?:^|[\s\'"=(:])(/[\w.-]+/|~/|[A-Z]:\\)|warning|error|traceback', re.IGNORECASE)
"""What no stored text has: absolute paths, complaints."""

QUICK = """
from tests.forks import format_each_config_once
format_each_config_once()
del format_each_config_once
"""


def texts(notebook):
    """The texts of the outputs; a KeyError for an output of another kind than text and JPEG."""
    for cell in notebook['cells']:
        for output in cell.get('outputs', ()):
            assert output.get('name') != 'stderr'
            if output['output_type'] == 'stream':
                yield ''.join(output['text'])
            elif 'image/jpeg' not in output['data']:
                yield ''.join(output['data']['text/plain'])


@pytest.mark.slow
@pytest.mark.parametrize('path', NOTEBOOKS)
def test_notebook_runs(path, tmp_path):
    pytest.importorskip('nbmake', reason='nbmake is not installed: extra [dev]')
    pytest.importorskip('supervision', reason='supervision is not installed: extra [supervision]')
    startup = tmp_path / 'profile_default/startup/quick.py'
    startup.parent.mkdir(parents=True)
    startup.write_text(QUICK)
    command = [sys.executable, '-m', 'pytest', '-q', '--nbmake', '-p', 'no:cacheprovider', path]
    env = {**os.environ, 'IPYTHONDIR': str(tmp_path), 'PYTHONPATH': PYTHON_PATH}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-5000:]
    assert '1 passed' in done.stdout


@pytest.mark.parametrize('path', NOTEBOOKS)
def test_stored_notebook(path):
    assert path.stat().st_size < 400_000
    notebook = json.loads(path.read_text())
    assert notebook['metadata']['kernelspec']['name'] == 'python3'
    assert 'At the end you will have' in ''.join(notebook['cells'][0]['source'])
    stored = '\n'.join(texts(notebook))
    assert TEXT.search(stored) is None
    assert 'WRONG' not in stored
    code = [cell for cell in notebook['cells'] if cell['cell_type'] == 'code']
    assert [cell['execution_count'] for cell in code] == [*range(1, len(code) + 1)]


def test_what_the_notebooks_show():
    """The objects of the scene; a detector that finds words with and without labels."""
    quick, own = (
        '\n'.join(texts(json.loads((ROOT / f'docs/notebooks/{name}.ipynb').read_text())))
        for name in ('quickstart', 'own_data')
    )
    assert re.findall(r'^(\w+ \w+?) *\d\.\d\d  x0', quick, re.MULTILINE) == [
        'red heart',
        'green square',
        'blue square',
    ]
    ap50 = dict(re.findall(r'^(novel|base) +[\d.]+ +([\d.]+) ', own, re.MULTILINE))
    assert float(ap50['base']) > 80
    assert float(ap50['novel']) > 40
