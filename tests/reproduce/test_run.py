"""What a run is called, what its command says, and when its results are another's."""

import json
import shlex
import sys
from dataclasses import replace

import pytest

from clipself_mm.reproduce import Experiment, Run
from tests.reproduce.stub_checkout import (
    TRAINING,
    measure,
    original,
    setting_of,
    train,
    write_checkout,
)


@pytest.fixture
def root(tmp_path):
    return write_checkout(tmp_path)


def test_a_training_resumes_with_its_seed(root):
    run = Run.of(train(images='{data}/train', out='{here}/x'), 4, setting_of(root))
    assert run.id == 'tower_seed4'
    folder = f'{root}/work/tower_seed4'
    expected = [sys.executable, f'{root}/tools/train.py', f'{root}/configs/train.py']
    expected += ['--work-dir', folder, '--resume', '--cfg-options']
    expected += [f'images={root}/data/train', f'out={folder}/x', 'randomness.seed=4']
    assert run.command() == expected


def test_a_shortened_training_ends_its_schedule_with_it(root):
    run = Run.of(train(), 0, setting_of(root, epochs=2))
    assert run.options() == [
        'train_cfg.max_epochs=2',
        'param_scheduler.1.end=2',  # the first counts iterations, the third has no end
        'randomness.seed=0',
    ]
    assert Run.of(train(), 0, setting_of(root, epochs=9)).options() == ['randomness.seed=0']
    assert Run.of(original(), 0, setting_of(root, epochs=2)).options() == ['number=7']


def test_several_gpus_go_through_the_launch_scripts(root):
    setting = setting_of(root, gpus=4, amp=True)
    words = Run.of(train(), 0, setting).command()
    assert words[:4] == ['bash', f'{root}/tools/dist_train.sh', f'{root}/configs/train.py', '4']
    assert words[6:9] == ['--resume', '--amp', '--auto-scale-lr']
    words = Run.of(original(), 0, setting).command()
    # An empty checkpoint leaves the weights that the config names.
    expected = ['bash', f'{root}/tools/dist_test.sh', f'{root}/configs/test.py', '', '4']
    assert words[:5] == expected
    assert '--amp' not in words


def test_the_text_of_a_command_names_a_checkpoint_that_is_not_there_yet(root):
    test = Experiment(
        'test', 'configs/test.py', dict(number='1'), dict(d=train('d')), checkpoint='d'
    )
    text = Run.of(test, 0, setting_of(root)).command_text()
    assert f'configs/test.py "$(cat {root}/work/d_seed0/last_checkpoint)" --work-dir' in text
    command = Run.of(train(a='it is'), 0, setting_of(root)).command_text()
    assert shlex.split(command)[-2] == 'a=it is'


def test_setup_is_that_of_everything_but_the_seed_and_the_place(root, tmp_path):
    setting = setting_of(root)
    setup = Run.of(measure(train()), 0, setting).setup
    assert len(setup) == 12
    elsewhere = replace(setting, work_dir=tmp_path / 'b', data_root=tmp_path / 'c')
    assert Run.of(measure(train()), 3, elsewhere).setup == setup
    others = [
        Run.of(measure(train(a='1')), 0, setting),  # what is needed counts too
        Run.of(measure(train(), number='2'), 0, setting),
        Run.of(measure(train()), 0, replace(setting, epochs=2)),
        Run.of(measure(train()), 0, replace(setting, data='other toys')),
        Run.of(measure(train()), 0, replace(setting, gpus=2)),
    ]
    setups = [run.setup for run in others]
    assert setup not in setups
    assert len(set(setups)) == len(setups)


@pytest.mark.parametrize(
    ('text', 'same'),
    [
        (TRAINING.format(width=9), False),
        (TRAINING.format(width=8).replace('interval=7', 'interval=1'), True),
    ],
    ids=['another model', 'another log'],
)
def test_setup_sees_the_parts_of_a_config_that_decide(tmp_path, text, same):
    setups = []
    for name, content in (('a', TRAINING.format(width=8)), ('b', text)):
        root = write_checkout(tmp_path / name)
        (root / 'configs/train.py').write_text(content)
        setups.append(Run.of(train(), 0, setting_of(root)).setup)
    assert (setups[0] == setups[1]) == same


def test_results_of_another_setup_are_refused(root):
    run = Run.of(train(), 0, setting_of(root))
    assert run.result() is None
    run.begin()
    assert run.result() is None
    run.finish(1.25, 0)
    assert run.result()['seconds'] == 1.2
    longer = Run.of(train(), 0, setting_of(root, epochs=1))
    with pytest.raises(ValueError, match=r'tower_seed0 holds a run of another setup.*remove the'):
        longer.result()
    setup = json.loads((run.folder / 'setup.json').read_text())
    assert setup['cut_to_epochs'] is None
    assert setup['config'] == 'configs/train.py'


@pytest.mark.parametrize('name', ['epochs', 'gpus'])
def test_numbers_of_a_setting_are_checked(root, name):
    with pytest.raises(ValueError, match=f'{name} is at least 1, got 0'):
        setting_of(root, **{name: 0})
