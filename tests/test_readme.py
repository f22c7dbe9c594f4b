"""What the README shows first: its commands run as they are written."""

import json
import re
import shlex

import pytest

from tests.forks import Fork
from tests.page_commands import ROOT

FIRST = '\n'.join((ROOT / 'README.md').read_text().splitlines()[:60])
ELSEWHERE = {
    'make env': 'it made the environment of this test',
    'make web': 'tests/web/test_web_page.py',
    'source .venv/bin/activate': 'there is one when make has its default VENV',
}


def first_commands():
    shown = [line.partition('#')[0].strip() for line in re.findall(r'^    (.*)$', FIRST, re.M)]
    code = re.findall(r'^```python\n(.*?)^```', FIRST, re.S | re.M)
    return [line for line in shown if not any(line in block for block in code)]


def test_the_first_commands_are_run_here_or_elsewhere():
    ours = [line for line in first_commands() if line not in ELSEWHERE]
    assert len(ours) == 3
    assert all(line.startswith('clipself-mm ') for line in ours)


@pytest.mark.slow
def test_the_first_commands_run_in_their_order(tmp_path):
    (tmp_path / 'examples').symlink_to(ROOT / 'examples')
    for line in first_commands():
        if line not in ELSEWHERE:
            done = Fork([ROOT / 'clipself_mm_command.py', *shlex.split(line)[1:]], tmp_path).wait()
            assert done.returncode == 0, done.stderr[-2000:]
    work = tmp_path / 'work_dirs'
    for number, names in ((1, {'blue heart', 'red bolt'}), (2, {'red bolt'})):
        assert (work / f'detected/vis/{number}.png').is_file()
        found = json.loads((work / f'detected/preds/{number}.json').read_text())
        shown = zip(found['label_names'], found['scores'], strict=True)
        assert {name for name, score in shown if score > 0.3} == names
    labels = json.loads((work / 'labels/annotations.json').read_text())
    assert [image['file_name'] for image in labels['images']] == ['1.png', '2.png']
    assert len(labels['annotations']) == 3
    assert all(word in done.stdout for word in ('segment', 'export', 'check-data'))
