"""What a run is called, what its command says, and when its results are another's."""

import json
import shlex
import sys
from dataclasses import replace

import pytest

from projects.reproduce import Experiment, Run
from tests.projects.reproduce.stub_checkout import (
    TRAINING,
    context_of,
    measure,
    original,
    train,
    validated,
    write_checkout,
)


@pytest.fixture
def root(tmp_path):
    return write_checkout(tmp_path)


def test_a_training_resumes_with_its_seed(root):
    run = Run.of(train(images='{data}/train', out='{here}/x'), 4, context_of(root))
    assert run.id == 'tower_seed4'
    folder = f'{root}/work/tower_seed4'
    expected = [sys.executable, f'{root}/tools/train.py', f'{root}/configs/train.py']
    expected += ['--work-dir', folder, '--resume', '--cfg-options']
    expected += [f'images={root}/data/train', f'out={folder}/x', 'randomness.seed=4']
    assert run.command() == expected


def test_a_shortened_training_ends_its_schedule_with_it(root):
    run = Run.of(train(), 0, context_of(root, epochs=2))
    assert run.options() == [
        'train_cfg.max_epochs=2',
        'param_scheduler.1.end=2',  # the first counts iterations, the third has no end
        'randomness.seed=0',
    ]
    assert Run.of(train(), 0, context_of(root, epochs=9)).options() == ['randomness.seed=0']
    assert Run.of(original(), 0, context_of(root, epochs=2)).options() == ['number=7']


def test_several_gpus_go_through_the_launch_scripts(root):
    context = context_of(root, gpus=4, amp=True)
    words = Run.of(train(), 0, context).command()
    assert words[:4] == ['bash', f'{root}/tools/dist_train.sh', f'{root}/configs/train.py', '4']
    assert words[6:9] == ['--resume', '--amp', '--auto-scale-lr']
    words = Run.of(original(), 0, context).command()
    # An empty checkpoint leaves the weights that the config names.
    expected = ['bash', f'{root}/tools/dist_test.sh', f'{root}/configs/test.py', '', '4']
    assert words[:5] == expected
    assert '--amp' not in words


def test_a_training_of_one_gpu_is_started_plainly_whatever_the_others_have(root):
    one = replace(train(), one_gpu=True)
    run = Run.of(one, 0, context_of(root, gpus=8, amp=True))
    words = run.command()
    assert words[:3] == [sys.executable, f'{root}/tools/train.py', f'{root}/configs/train.py']
    assert words[5:8] == ['--resume', '--amp', '--cfg-options']
    assert run.gpus == 1
    assert Run.of(train(), 0, context_of(root, gpus=8)).gpus == 8
    assert Run.of(one, 0, context_of(root)).gpus is None
    # As many GPUs as there are, it is the same training.
    assert run.setup == Run.of(one, 0, context_of(root, gpus=2, amp=True)).setup


def test_a_training_that_counts_iterations_is_cut_to_epochs_of_a_given_length(root):
    counted = Experiment('tower', 'configs/iterations.py', trains=True, epoch_iters=100)
    run = Run.of(counted, 0, context_of(root, epochs=2))
    assert run.options() == [
        'train_cfg.max_iters=200',
        'param_scheduler.1.end=200',  # the warm-up is shorter than that
        'randomness.seed=0',
    ]
    assert run.is_cut
    assert not Run.of(counted, 0, context_of(root, epochs=7)).is_cut
    unknown = replace(counted, epoch_iters=None)
    with pytest.raises(ValueError, match=r'configs/iterations\.py'):
        Run.of(unknown, 0, context_of(root, epochs=2)).options()
    assert Run.of(unknown, 0, context_of(root)).options() == ['randomness.seed=0']


def test_a_file_from_elsewhere_is_known_by_its_content(root):
    def run_with(name, content):
        (root / name).write_text(content)
        item = replace(train(boxes='{given}'), files={'given': root / name})
        return Run.of(item, 0, context_of(root))

    one, same, other = run_with('a', 'x'), run_with('b', 'x'), run_with('c', 'y')
    assert f'boxes={root}/a' in one.options()
    assert one.setup == same.setup != other.setup


def write_validations(run, log, *lines):
    path = run.folder / log / 'vis_data/scalars.json'
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(''.join(lines))


def test_best_and_last_epoch_by_the_logs_of_all_attempts(root):
    run = Run.of(validated(), 0, context_of(root))
    first = '{"coco/ap": 0.2, "coco/ar": 0.5, "step": 1}\n'
    write_validations(
        run, '20300101_000000', first, '{"loss": 7, "step": 450}\n', '{"coco/ap": 0.9, "st'
    )
    write_validations(run, '20300102_000000', '{"coco/ap": 0.8, "step": 2}\n')
    with pytest.raises(FileNotFoundError, match=r'detector_seed0.*\[3\]'):
        run.finish(1, 0)
    # Epoch 2 was made once more: the later number counts.
    again = '{"coco/ap": 0.4, "step": 2}\n{"coco/ap": 0.3, "coco/ar": 0.1, "step": 3}\n'
    write_validations(run, '20300103_000000', again)
    assert run.finish(1, 0)['metrics'] == {
        'best/coco/ap': 0.4,
        'best/epoch': 2,
        'last/coco/ap': 0.3,
        'last/coco/ar': 0.1,
    }


def test_of_equal_epochs_the_first_is_best_as_the_checkpoint_hook_keeps_it(root):
    run = Run.of(validated(), 0, context_of(root, epochs=2))
    write_validations(run, 'a', '{"coco/ap": 0.4, "step": 1}\n{"coco/ap": 0.4, "step": 2}\n')
    assert run.finish(1, 0)['metrics']['best/epoch'] == 1


def test_the_text_of_a_command_names_a_checkpoint_that_is_not_there_yet(root):
    test = Experiment(
        'test', 'configs/test.py', dict(number='1'), dict(d=train('d')), checkpoint='d'
    )
    text = Run.of(test, 0, context_of(root)).command_text()
    assert f'configs/test.py "$(cat {root}/work/d_seed0/last_checkpoint)" --work-dir' in text
    command = Run.of(train(a='it is'), 0, context_of(root)).command_text()
    assert shlex.split(command)[-2] == 'a=it is'


def test_setup_is_that_of_everything_but_the_seed_and_the_place(root, tmp_path):
    context = context_of(root)
    setup = Run.of(measure(train()), 0, context).setup
    assert len(setup) == 12
    elsewhere = replace(context, work_dir=tmp_path / 'b', data_root=tmp_path / 'c')
    assert Run.of(measure(train()), 3, elsewhere).setup == setup
    others = [
        Run.of(measure(train(a='1')), 0, context),  # what is needed counts too
        Run.of(measure(train(), number='2'), 0, context),
        Run.of(measure(train()), 0, replace(context, epochs=2)),
        Run.of(measure(train()), 0, replace(context, data='other toys')),
        Run.of(measure(train()), 0, replace(context, gpus=2)),
    ]
    setups = [run.setup for run in others]
    assert setup not in setups
    assert len(set(setups)) == len(setups)


def test_setup_of_a_validated_training_sees_what_it_is_measured_by(tmp_path):
    setups = {}
    for name, content in (('a', "'val.json'"), ('b', "'other.json'")):
        root = write_checkout(tmp_path / name)
        with (root / 'configs/train.py').open('a') as file:
            file.write(f'val_evaluator = dict(ann_file={content})\n')
        for experiment in (train(), validated()):
            run = Run.of(experiment, 0, context_of(root))
            setups.setdefault(experiment.name, set()).add(run.setup)
    assert {name: len(found) for name, found in setups.items()} == {'tower': 1, 'detector': 2}


@pytest.mark.parametrize(
    ('text', 'same'),
    [
        (TRAINING.format(width=9), False),
        (TRAINING.format(width=8).replace('alpha=0.7', 'alpha=1.0'), False),
        (TRAINING.format(width=8).replace('interval=7', 'interval=1'), True),
    ],
    ids=['another model', 'another ensemble', 'another log'],
)
def test_setup_sees_the_parts_of_a_config_that_decide(tmp_path, text, same):
    setups = []
    for name, content in (('a', TRAINING.format(width=8)), ('b', text)):
        root = write_checkout(tmp_path / name)
        (root / 'configs/train.py').write_text(content)
        setups.append(Run.of(train(), 0, context_of(root)).setup)
    assert (setups[0] == setups[1]) == same


def test_results_of_another_setup_are_refused(root):
    run = Run.of(train(), 0, context_of(root))
    assert run.result() is None
    run.begin()
    assert run.result() is None
    run.finish(1.25, 0)
    assert run.result()['seconds'] == 1.2
    longer = Run.of(train(), 0, context_of(root, epochs=1))
    with pytest.raises(
        ValueError, match=r"tower_seed0.*'cut_to_epochs': None.*'cut_to_epochs': \d"
    ):
        longer.result()
    setup = json.loads((run.folder / 'setup.json').read_text())
    assert setup['cut_to_epochs'] is None
    assert setup['config'] == 'configs/train.py'


@pytest.mark.parametrize('name', ['epochs', 'gpus'])
def test_numbers_of_a_setting_are_checked(root, name):
    with pytest.raises(ValueError, match=rf'{name}.*\b0\b'):
        context_of(root, **{name: 0})
