"""What is seen while jobs run, by mmengine's own lines and by a terminal's control codes."""

import io

import pytest

from projects.reproduce.display import Display, read_progress

HEAD = '\n$ python tools/train.py\n'
ITERATION = (
    '11/27 17:29:29 - mmengine - INFO - Epoch(train)  [1][ 50/300]  base_lr: 1.0e-03 lr: 1.0e-03  '
    'eta: 0:11:36  time: 0.1679  data_time: 0.0335  loss: 0.4718\n'
)
VALIDATION = '11/27 17:29:11 - mmengine - INFO - Epoch(test) [50/60]    eta: 0:00:01  time: 0.1\n'
COUNTED = (
    '11/27 17:29:11 - mmengine - INFO - Iter(train) [  150/44358]  lr: 1.0e-05  '
    'eta: 1 day, 2:03:04  time: 0.1\n'
)


@pytest.mark.parametrize(
    ('text', 'shown'),
    [
        ('', 'starting'),
        (HEAD, 'starting'),
        (HEAD + ITERATION, 'train epoch 1, step 50/300, 0:11:36 left'),
        (HEAD + ITERATION + 'Saving checkpoint\n', 'train epoch 1, step 50/300, 0:11:36 left'),
        (HEAD + ITERATION + VALIDATION, 'test step 50/60, 0:00:01 left'),
        (HEAD + COUNTED, 'train step 150/44358, 1 day, 2:03:04 left'),
        (HEAD + ITERATION + HEAD, 'starting'),  # the line is of an earlier attempt
        (HEAD + 'x' * 100_000 + '\n' + ITERATION, 'train epoch 1, step 50/300, 0:11:36 left'),
    ],
)
def test_progress_by_lines_of_mmengine(tmp_path, text, shown):
    log = tmp_path / 'log.txt'
    log.write_text(text)
    assert read_progress(log) == shown


class Terminal(io.StringIO):
    def isatty(self):
        return True


def screen_of(text):
    """What a terminal shows that knows two codes: up so many lines, clear below."""
    lines = ['']
    for part in text.replace('\x1b[J', '\x00').replace('\x1b[', '\x1b').split('\x1b'):
        up, clear, rest = part.rpartition('F\x00')
        if clear:
            del lines[len(lines) - 1 - int(up) :]
            lines.append('')
        first, *more = rest.split('\n')
        lines[-1] += first
        lines += more
    return lines[:-1]


def test_lines_of_jobs_stay_below_and_are_redrawn(monkeypatch):
    monkeypatch.setenv('COLUMNS', '12')
    display = Display(Terminal())

    def show(*lines):
        display._due = 0
        display.show(lines)
        return screen_of(display.stream.getvalue())

    display.log('started a')
    assert show('a: 1', 'b: 1') == ['started a', 'a: 1', 'b: 1']
    assert show('a: 2') == ['started a', 'a: 2']
    display.log('finished a')
    assert screen_of(display.stream.getvalue()) == ['started a', 'finished a']
    assert show('b: 2, a long one') == ['started a', 'finished a', 'b: 2, a lon']  # else it wraps


def test_a_file_gets_a_line_now_and_then():
    display = Display(io.StringIO(), interval=1000)
    display.log('started a')
    display.show(pytest.fail('was read') for _ in 'x')  # not due, so not read
    display._due = 0
    display.show(['a: 1'])
    display.show(['a: 2'])
    assert display.stream.getvalue() == 'started a\na: 1\n'
