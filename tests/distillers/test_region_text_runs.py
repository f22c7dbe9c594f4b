"""From captions and proposals to a trained tower, with the Shapes-OV configs and the runner."""

import json
import shutil

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner

from clipself_mm.clip import build_tower
from tests.commands import ROOT, last_weights

pytestmark = pytest.mark.slow


@pytest.fixture
def data_root(shapes, tmp_path):
    """A small Shapes-OV whose base boxes are used as proposals."""
    root = tmp_path / 'shapes'
    shutil.copytree(shapes, root)
    folder = root / 'annotations'
    shutil.copy(folder / 'instances_train.json', folder / 'rpn_proposals.json')
    return root


def config_of(name, data_root, micro_clip, work_dir):
    config = Config.fromfile(ROOT / f'configs/shapes/{name}_tiny_shapes-ov.py')
    for split in ('train', 'val', 'test'):
        if f'{split}_dataloader' in config:
            config[f'{split}_dataloader'].dataset.data_root = f'{data_root}/'
    config.model.tower.model = micro_clip
    config.work_dir = str(work_dir)
    config.experiment_name = f'{name}-{work_dir.parent.name}'
    return config


def test_pairs_then_training(data_root, micro_clip, tmp_path):
    annotations = data_root / 'annotations'
    config = config_of('pseudo-labels', data_root, micro_clip, tmp_path / 'pairs')
    config.test_evaluator.ann_file = str(annotations / 'rpn_proposals.json')
    config.test_evaluator.out_file = str(annotations / 'rpn_pseudo_73.json')
    counted = Runner.from_cfg(config).test()
    pairs = json.loads((annotations / 'rpn_pseudo_73.json').read_text())
    proposals = json.loads((annotations / 'rpn_proposals.json').read_text())
    assert counted['region_text/pairs'] == len(pairs['annotations']) > 24
    boxes = {(a['image_id'], *a['bbox']) for a in proposals['annotations']}
    for pair in pairs['annotations']:
        near = [b for b in boxes if b[0] == pair['image_id'] and close(b[1:], pair['bbox'])]
        assert len(near) == 1
    check_nouns(pairs, json.loads((annotations / 'captions_train.json').read_text()))

    config = config_of('region-text', data_root, micro_clip, tmp_path / 'train')
    config.train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=1, val_interval=1)
    config.param_scheduler[0].update(end=1, warmup=2)
    config.default_hooks.weight_ensemble.alpha = 0.5
    runner = Runner.from_cfg(config)
    model = runner.train()
    raw = last_weights(tmp_path / 'train')
    exported = build_tower(f'local-dir:{tmp_path / "train" / "tower"}').state_dict()
    moved = 0
    for key, value in exported.items():
        student, teacher = raw[f'student.{key}'], raw[f'teacher.{key}']
        torch.testing.assert_close(value, 0.5 * student + 0.5 * teacher)
        moved += not student.equal(teacher)
    assert moved > 10
    assert model.nouns.classes == runner.train_dataloader.dataset.metainfo['classes']
    measured = runner.message_hub.get_scalar('val/region/boxes/top1').current()
    assert 0 <= measured <= 100


def close(one, other):
    return all(abs(a - b) < 0.02 for a, b in zip(one, other, strict=True))


def check_nouns(pairs, captions):
    """Each noun occurs in a caption of its image."""
    name_of = {entry['id']: entry['name'] for entry in pairs['categories']}
    said = {}
    for entry in captions['annotations']:
        said.setdefault(entry['image_id'], []).append(entry['caption'])
    for pair in pairs['annotations']:
        text = ' | '.join(said[pair['image_id']]).lower()
        assert name_of[pair['category_id']] in text
