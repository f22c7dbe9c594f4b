"""tools/test.py on the toy task: weights from a checkpoint or the config, predictions, drawings."""

import json
import pickle
import uuid
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from tests.commands import load_tool
from tests.tools.toy_task import CONFIG


@pytest.fixture
def evaluate(tmp_path, monkeypatch, run_tool):
    """Runs tools/test.py's main on the toy config; returns the metrics mmengine wrote."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'toy.py').write_text(CONFIG.replace('RUN', uuid.uuid4().hex))

    def run(*words):
        run_tool('test', 'toy.py', *words, '--work-dir', 'w')
        (file,) = (tmp_path / 'w').glob('*/*.json')
        return json.loads(file.read_text())

    return run


@pytest.fixture
def checkpoint(tmp_path):
    file = tmp_path / 'weights.pth'
    torch.save(dict(state_dict=dict(weight=torch.tensor(0.375))), file)
    return str(file)


def test_loads_the_checkpoint(evaluate, checkpoint):
    metrics = evaluate(checkpoint)
    assert (metrics['toy/weight'], metrics['toy/samples']) == (0.375, 4)


def test_without_a_checkpoint_the_config_decides(evaluate, checkpoint):
    assert evaluate('--cfg-options', f'load_from={checkpoint}')['toy/weight'] == 0.375


def test_without_any_the_model_is_as_built(evaluate):
    assert evaluate()['toy/weight'] == 0.0


def test_out_holds_one_prediction_per_sample(evaluate, checkpoint):
    evaluate(checkpoint, '--out', 'predictions.pkl')
    with open('predictions.pkl', 'rb') as file:
        predictions = pickle.load(file)
    assert [sample['target'] for sample in predictions] == [0, 2, 0, 2]
    assert {sample['weight'] for sample in predictions} == {0.375}


def test_show_dir_goes_to_the_hook_or_to_the_visualizer():
    draw_into = load_tool('test').draw_into
    det = Config(dict(default_hooks=dict(visualization=dict(type='DetVisualizationHook'))))
    draw_into(det, Path('drawn'))
    assert det.default_hooks.visualization == dict(
        type='DetVisualizationHook', draw=True, test_out_dir='drawn'
    )
    seg = Config(
        dict(
            default_hooks=dict(visualization=dict(type='SegVisualizationHook')),
            visualizer=dict(type='SegLocalVisualizer'),
        )
    )
    draw_into(seg, Path('drawn'))
    assert seg.default_hooks.visualization == dict(type='SegVisualizationHook', draw=True)
    assert seg.visualizer.save_dir == 'drawn'


def test_show_dir_needs_a_hook_that_draws():
    with pytest.raises(KeyError, match=r'default_hooks\.visualization'):
        load_tool('test').draw_into(Config(dict(default_hooks=dict())), Path('drawn'))


def test_tta_wraps_the_model_and_takes_the_augmented_pipeline():
    config = Config(
        dict(
            model=dict(type='Detector'),
            test_dataloader=dict(dataset=dict(pipeline=[dict(type='Pack')])),
            tta_model=dict(type='DetTTAModel', tta_cfg=dict(max_per_img=7)),
            tta_pipeline=[dict(type='TestTimeAug')],
        )
    )
    load_tool('test').augment(config)
    assert config.model == dict(
        type='DetTTAModel', tta_cfg=dict(max_per_img=7), module=dict(type='Detector')
    )
    assert config.test_dataloader.dataset.pipeline == [dict(type='TestTimeAug')]


def test_tta_needs_what_the_config_should_say():
    with pytest.raises(KeyError, match='tta_pipeline'):
        load_tool('test').augment(Config(dict(tta_model=dict())))
