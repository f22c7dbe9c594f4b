"""Making runs: needs first, each once, killed ones go on, failed ones stop only what needs them."""

import multiprocessing
import os
import signal
import time
from dataclasses import replace

import pytest

from projects.reproduce import Experiment, JobQueue, Run
from tests.projects.reproduce.stub_checkout import (
    Lines,
    calls_of,
    context_of,
    measure,
    original,
    result_of,
    train,
    validated,
    write_checkout,
)


@pytest.fixture
def root(tmp_path):
    return write_checkout(tmp_path / 'checkout')


def queue_of(context, *experiments, seeds=(0,), **options):
    runs = [Run.of(item, seed, context) for seed in seeds for item in experiments]
    return JobQueue(runs, **{'display': Lines(), **options})


def test_needs_come_first_and_a_shared_one_runs_once(root):
    one, other = measure(train()), measure(train(), name='again')
    queue = queue_of(context_of(root), one, original(), other)
    assert queue.execute()
    assert calls_of(root) == ['tower_seed0', 'measure_tower_seed0', 'original', 'again_seed0']
    # 1 and the three epochs of the tower.
    assert queue.results['measure_tower_seed0']['metrics'] == {'m/top1': 4, 'coco/ap': 0.04}
    assert result_of(root, 'original')['metrics']['m/top1'] == 7
    assert result_of(root, 'tower_seed0')['metrics'] == {}


def test_every_seed_has_its_own_chain_but_for_what_has_no_seed(root):
    queue = queue_of(context_of(root), measure(train()), original(), seeds=(3, 5))
    assert queue.execute()
    expected = ['tower_seed3', 'measure_tower_seed3', 'original', 'tower_seed5']
    assert calls_of(root) == [*expected, 'measure_tower_seed5']
    assert queue.results['measure_tower_seed5']['metrics']['m/top1'] == 54  # 1 + 3 + 10 * 5
    assert queue.results['measure_tower_seed5']['seed'] == 5


def test_what_is_done_is_not_made_again(root):
    assert queue_of(context_of(root), measure(train())).execute()
    again = queue_of(context_of(root), measure(train()), original())
    assert again.execute()
    assert calls_of(root) == ['tower_seed0', 'measure_tower_seed0', 'original']
    assert again.results['measure_tower_seed0']['metrics']['m/top1'] == 4


def test_the_last_checkpoint_of_a_needed_run_is_tested_wherever_it_was_written(root):
    detector = train('detector')
    options = dict(number='1')
    test = Experiment(
        'test', 'configs/test.py', options, dict(detector=detector), checkpoint='detector'
    )
    queue = queue_of(context_of(root), test)
    assert queue.execute()
    assert queue.results['test_seed0']['metrics']['m/top1'] == 2.5  # 1 + 0.5 * epoch 3


def test_a_failure_stops_what_needs_it_and_nothing_else(root):
    (root / 'stop').touch()
    broken = train('broken', fails=str(root / 'stop'))
    experiments = measure(broken), measure(train()), measure(measure(broken), name='far')
    queue = queue_of(context_of(root), *experiments)
    assert not queue.execute()
    log = root / 'work/broken_seed0/log.txt'
    assert set(queue.problems) == {'broken_seed0', 'measure_broken_seed0', 'far_seed0'}
    problem = queue.problems['broken_seed0']
    assert 'code 1' in problem
    assert problem.endswith(f' {log}')
    assert 'measure_broken_seed0' in queue.problems['far_seed0']
    assert 'told to fail' in log.read_text()
    assert set(queue.results) == {'tower_seed0', 'measure_tower_seed0'}
    assert any(line.startswith('finished tower_seed0 in ') for line in queue.display.lines)
    (root / 'stop').unlink()
    again = queue_of(context_of(root), *experiments)
    assert again.execute()
    assert calls_of(root).count('tower_seed0') == 1
    assert calls_of(root).count('broken_seed0') == 2


def test_a_failure_can_end_all_runs(root):
    """One sentence with the name, the code and the log; what was under way goes on another time."""
    (root / 'stop').touch()
    (root / 'wait').touch()
    broken, tower = train('broken', fails=str(root / 'stop')), train(waits=str(root / 'wait'))
    late = replace(broken, needs={'tower': train('early')})
    experiments = tower, late, measure(train('never'))
    queue = queue_of(context_of(root), *experiments, jobs=2, keeps_going=False)
    assert not queue.execute()
    assert [*queue.problems] == ['broken_seed0']
    log = root / 'work/broken_seed0/log.txt'
    assert queue.display.lines[-1].startswith('broken_seed0 failed with exit code 1 after ')
    assert queue.display.lines[-1].endswith(f' s, see {log}')
    assert sorted(calls_of(root)) == ['broken_seed0', 'early_seed0', 'tower_seed0']
    for name in ('stop', 'wait'):
        (root / name).unlink()
    again = queue_of(context_of(root), *experiments, jobs=2, keeps_going=False)
    assert again.execute()
    assert calls_of(root).count('tower_seed0') == 2  # its first process is no more
    assert calls_of(root).count('early_seed0') == 1


def test_a_test_without_metrics_has_failed(root):
    (root / 'tools/test.py').write_text('')
    queue = queue_of(context_of(root), original())
    assert not queue.execute()
    assert 'metrics' in queue.problems['original']


def test_metrics_of_an_earlier_attempt_do_not_count(root):
    stale = root / 'work/original/20200101_000000/20200101_000000.json'
    stale.parent.mkdir(parents=True)
    stale.write_text('{"m/top1": 99}')
    os.utime(stale, (1, 1))
    (root / 'tools/test.py').write_text('')
    assert not queue_of(context_of(root), original()).execute()


def test_jobs_run_side_by_side_with_their_share_of_the_cores(root, monkeypatch):
    """Each of two trainings waits until the other is there."""
    monkeypatch.setattr(os, 'cpu_count', lambda: 8)
    (root / 'tools/train.py').write_text(
        'import os, sys, time\nfrom pathlib import Path\n'
        "own = Path(sys.argv[sys.argv.index('--work-dir') + 1])\n"
        "(own / 'here').write_text(os.environ['OMP_NUM_THREADS'])\n"
        'deadline = time.monotonic() + 120\n'
        "while len(list(own.parent.glob('*/here'))) < 2:\n    time.sleep(0.01)\n"
        '    assert time.monotonic() < deadline\n'
    )
    assert queue_of(context_of(root), train('one'), train('two'), jobs=2).execute()
    assert (root / 'work/one_seed0/here').read_text() == '4'


def test_threads_can_be_said(root, monkeypatch):
    """For digits that do not depend on how many cores there are."""
    monkeypatch.setattr(os, 'cpu_count', lambda: 8)
    assert queue_of(context_of(root), original(), jobs=2, threads=1).execute()
    assert 'threads 1\n' in (root / 'work/original/log.txt').read_text()


def test_running_jobs_are_shown_with_their_last_step(root):
    """The training ends once its step has been seen."""
    (root / 'wait').touch()
    step = 'INFO - Epoch(train)  [2][ 50/300]  lr: 1.0  eta: 0:02:11  time: 0.1'
    (root / 'tools/train.py').write_text(
        f'import time\nfrom pathlib import Path\nprint({step!r}, flush=True)\n'
        'deadline = time.monotonic() + 120\n'
        f'while Path({str(root / "wait")!r}).exists():\n    time.sleep(0.01)\n'
        '    assert time.monotonic() < deadline\n'
    )

    class Watch(Lines):
        seen = frozenset()

        def show(self, lines):
            self.seen |= set(lines)
            if any('step' in line for line in self.seen):
                (root / 'wait').unlink(missing_ok=True)

    display = Watch()
    assert queue_of(context_of(root), train(), display=display).execute()
    assert '  tower_seed0: train epoch 2, step 50/300, 0:02:11 left' in display.seen


def test_processes_of_a_run_share_its_cores(root, monkeypatch):
    """Otherwise each of eight would start as many threads as there are cores."""
    monkeypatch.setattr(os, 'cpu_count', lambda: 8)
    (root / 'tools/dist_train.sh').write_text('echo $OMP_NUM_THREADS > "$4/here"\n')
    queue_of(context_of(root, gpus=4), train('one')).execute()
    assert (root / 'work/one_seed0/here').read_text() == '2\n'


GPU_TOOL = """
import os, sys, time
from pathlib import Path
own = Path(sys.argv[sys.argv.index('--work-dir') + 1])
(own / 'here').write_text(os.environ['CUDA_VISIBLE_DEVICES'])
deadline = time.monotonic() + 120
while len(list(own.parent.glob('*/here'))) < 2:
    time.sleep(0.01)
    assert time.monotonic() < deadline
"""


def test_runs_of_one_gpu_stand_side_by_side_and_one_of_all_has_them_all(root, monkeypatch):
    """Two trainings of one GPU wait for each other; the third run takes both GPUs."""
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '4,6')
    (root / 'tools/train.py').write_text(GPU_TOOL)
    (root / 'tools/dist_train.sh').write_text('echo $CUDA_VISIBLE_DEVICES > "$4/here"\n')
    one, two = (replace(train(name), one_gpu=True) for name in ('one', 'two'))
    both = replace(train('both'), needs={'one': one, 'two': two})
    assert queue_of(context_of(root, gpus=2), both).execute()
    assert (root / 'work/one_seed0/here').read_text() == '4'
    assert (root / 'work/two_seed0/here').read_text() == '6'
    assert (root / 'work/both_seed0/here').read_text() == '4,6\n'


def test_a_run_of_all_gpus_waits_for_one_of_one_gpu(root):
    (root / 'tools/train.py').write_text(TRAIN_SLOWLY)
    (root / 'tools/dist_train.sh').write_text('test -e "$4/../one_seed0/done"\n')
    one = replace(train('one'), one_gpu=True)
    assert queue_of(context_of(root, gpus=2), one, train('all')).execute()


TRAIN_SLOWLY = """
import sys, time
from pathlib import Path
time.sleep(0.5)
(Path(sys.argv[sys.argv.index('--work-dir') + 1]) / 'done').touch()
"""


def test_too_few_visible_gpus_are_an_error(root, monkeypatch):
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '0')
    queue = queue_of(context_of(root, gpus=2), train('one'))
    assert not queue.execute()
    assert 'CUDA_VISIBLE_DEVICES=0 ' in queue.problems['one_seed0']
    assert ' 2 ' in queue.problems['one_seed0']


def test_a_validated_training_has_numbers_of_its_own(root):
    queue = queue_of(context_of(root), validated(0.1, 0.5, 0.4))
    assert queue.execute()
    assert queue.results['detector_seed0']['metrics'] == {
        'best/coco/ap': 0.5,
        'best/epoch': 2,
        'last/coco/ap': 0.4,
    }


def drive(root, experiment):
    """What a process of its own does: one experiment, which waits in a training."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    queue_of(context_of(root), experiment).execute()


def start_and_wait(root, experiment=None, training='tower_seed0'):
    """A driver whose training stands in its second epoch."""
    (root / 'wait').touch()
    experiment = experiment or measure(train(waits=str(root / 'wait')))
    process = multiprocessing.get_context('fork').Process(target=drive, args=(root, experiment))
    process.start()
    deadline = time.monotonic() + 120
    while not (root / 'work' / training / 'epoch_2.pth').exists():
        assert process.is_alive()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return process


def test_a_killed_driver_goes_on_from_the_last_checkpoint(root):
    process = start_and_wait(root)
    process.terminate()
    process.join()
    assert process.exitcode == 130
    assert not (root / 'work/tower_seed0/results.json').exists()
    (root / 'wait').unlink()
    queue = queue_of(context_of(root), measure(train(waits=str(root / 'wait'))))
    assert queue.execute()
    assert (root / 'work/tower_seed0/epoch_3.pth').read_text() == '3 2'  # two were there
    assert queue.results['measure_tower_seed0']['metrics']['m/top1'] == 4


def test_a_run_that_outlives_its_driver_is_not_made_twice(root):
    process = start_and_wait(root)
    process.kill()
    process.join()
    tower = train(waits=str(root / 'wait'))
    queue = queue_of(context_of(root), tower)
    assert not queue.execute()
    assert 'process' in queue.problems['tower_seed0']
    (root / 'wait').unlink()
    deadline = time.monotonic() + 60
    while not queue_of(context_of(root), tower).execute():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert (root / 'work/tower_seed0/epoch_3.pth').read_text() == '3 0'  # by the first process


def test_at_least_one_job(root):
    with pytest.raises(ValueError, match=r'jobs.*\b0\b'):
        queue_of(context_of(root), train(), jobs=0)


def test_two_experiments_of_one_name_must_be_the_same(root):
    with pytest.raises(ValueError, match='tower'):
        queue_of(context_of(root), train(), train(waits='x'))
