from itertools import repeat
from pathlib import Path

from benchmarks import recipe_steps


def test_configs_take_turns_and_the_first_turn_warms_up(monkeypatch):
    turns = []

    def steps_of(config):
        for _ in repeat(None):
            turns.append(config)
            yield

    ticks = iter(range(100))
    monkeypatch.setattr(recipe_steps, 'steps_of', steps_of)
    monkeypatch.setattr(recipe_steps, 'clock', lambda: next(ticks))
    seconds = recipe_steps.step_seconds(['a', 'b'], rounds=2, steps=2)
    assert turns == ['a', 'a', 'b', 'b'] * 3
    assert seconds == [[0.5, 0.5], [0.5, 0.5]]


def test_ratios_are_those_of_a_round():
    seconds = [[0.1, 0.2, 0.4], [0.1, 0.3, 0.8]]
    assert recipe_steps.table_rows([Path('a/first.py'), Path('b.py')], seconds) == [
        'first,200.0,1.00,0.00',
        'b,300.0,1.50,0.50',
    ]


def test_a_step_loads_trains_and_updates(tmp_path):
    from mmengine.config import Config

    from clipself_mm.shapes.export import ShapesOV, export_shapes_ov
    from tests.commands import ROOT

    export_shapes_ov(tmp_path / 'data', ShapesOV(train=4, val=1, size=64))
    config = Config.fromfile(ROOT / 'configs/shapes/clipself_tiny_patches_shapes-ov.py')
    config.train_dataloader.dataset.data_root = f'{tmp_path}/data/'
    (seconds,) = recipe_steps.step_seconds([config], rounds=3, steps=1)
    assert len(seconds) == 3
    assert min(seconds) > 0
