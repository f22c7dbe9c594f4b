"""tools/check_data.py: one line per file, and an exit code that a script can ask."""

import json
from functools import partial

import pytest


@pytest.fixture
def check(tmp_path, monkeypatch, run_tool):
    """Runs the tool's main on a config that reads one json without any folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'c.py').write_text("train_dataloader = dict(dataset=dict(ann_file='boxes.json'))")
    return partial(run_tool, 'check_data', 'c.py')


def test_good_files_end_well(check, tmp_path, capsys):
    (tmp_path / 'boxes.json').write_text(json.dumps(dict(images=[dict(id=1, file_name='1.jpg')])))
    check()
    assert capsys.readouterr().out.splitlines() == [
        'ok     boxes.json: 1 images',
        'All files of the config exist and can be read.',
    ]


def test_a_missing_file_ends_with_an_error(check, capsys):
    with pytest.raises(SystemExit, match=r'^1\b') as ended:
        check('--cfg-options', 'train_dataloader.dataset.ann_file=other.json')
    assert ended.value.code != 0
    assert capsys.readouterr().out == 'WRONG  other.json: is missing\n'
