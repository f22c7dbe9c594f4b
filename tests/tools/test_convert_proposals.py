"""tools/convert_proposals.py: what it prints, what it refuses."""

import json
import pickle
from functools import partial

import numpy as np
import pytest

IMAGES = [dict(id=key, file_name=f'{key}.jpg') for key in (1, 2, 3)]
BOXES = np.array([[0, 0, 10, 10, 0.9], [0, 0, 10, 9, 0.8], [20, 20, 30, 24, 0.7]])


@pytest.fixture
def convert(tmp_path, monkeypatch, run_tool):
    """Runs the tool's main in a folder with truth.json and src.pkl."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'truth.json').write_text(json.dumps(dict(images=IMAGES)))
    content = {'train/1.jpg': BOXES, 'train/2.jpg': BOXES[:0], 'train/9.jpg': BOXES}
    (tmp_path / 'src.pkl').write_bytes(pickle.dumps(content))
    return partial(run_tool, 'convert_proposals')


def boxes_of(path):
    return [entry['bbox'] for entry in json.loads(path.read_text())['annotations']]


def test_converts_and_reports(convert, tmp_path, capsys):
    convert('src.pkl', '--ann-file', 'truth.json', '--out', 'new/out.json')
    assert boxes_of(tmp_path / 'new/out.json') == [
        [0, 0, 10, 10],
        [0, 0, 10, 9],
        [20, 20, 10, 4],
    ]
    printed = capsys.readouterr()
    assert printed.out.splitlines() == [
        'proposals 3 of 3',
        'images    1 of 3 have any',
        'left out  1 images not in truth.json: train/9.jpg',
        'wrote new/out.json',
    ]
    assert '3/3' in printed.err


@pytest.mark.parametrize(
    ('options', 'expected'),
    [
        ('--score-thr 0.8', [[0, 0, 10, 10], [0, 0, 10, 9]]),
        ('--nms-iou 0.5', [[0, 0, 10, 10], [20, 20, 10, 4]]),
        ('--max-per-img 1', [[0, 0, 10, 10]]),
        ('--min-size 9.5', [[0, 0, 10, 10]]),
    ],
)
def test_options(convert, tmp_path, options, expected):
    convert('src.pkl', '--ann-file', 'truth.json', '--out', 'out.json', *options.split())
    assert boxes_of(tmp_path / 'out.json') == expected


@pytest.mark.parametrize(
    ('words', 'text'),
    [
        (['none.pkl'], r'none\.pkl'),
        (['truth.json'], r"truth\.json.*'annotations'"),
        (['src.pkl', '--score-thr', '0.95'], r'src\.pkl.*\b3\b.*\b0\.95\b'),
        (['src.pkl', '--nms-iou', '50'], r'nms_iou.*\[0, 1\].*\b50'),
    ],
)
def test_errors_are_one_line_and_leave_the_old_file(convert, tmp_path, words, text):
    (tmp_path / 'out.json').write_text('old')
    with pytest.raises(SystemExit, match=text) as caught:
        convert(*words, '--ann-file', 'truth.json', '--out', 'out.json')
    assert '\n' not in str(caught.value)
    assert (tmp_path / 'out.json').read_text() == 'old'


@pytest.mark.parametrize('out', ['./src.pkl', 'truth.json'])
def test_does_not_overwrite_what_it_reads(convert, tmp_path, capsys, out):
    before = (tmp_path / out).read_bytes()
    with pytest.raises(SystemExit):
        convert('src.pkl', '--ann-file', 'truth.json', '--out', out)
    assert f'error: {out}' in capsys.readouterr().err
    assert (tmp_path / out).read_bytes() == before
