"""From images without labels to a trained F-ViT: label, check, train, test."""

import json
import math
import sys

import pytest

from tests.commands import ROOT, call, train_command

CONFIG = """
_base_ = '{root}/configs/shapes/fvit_tiny_shapes-ov.py'

vocabulary = 'labels/vocabulary.json'
own = dict(
    vocabulary=vocabulary,
    data_root='.',
    ann_file='labels/annotations.json',
    data_prefix=dict(img='{images}'),
)
model = dict(roi_head=dict(bbox_head=dict(vocabulary=vocabulary)))
train_dataloader = dict(dataset=dict(base_only=False, **own))
val_dataloader = dict(dataset=dict(annotated_only=False, **own))
test_dataloader = val_dataloader
train_cfg = dict(max_epochs=1, val_interval=1)
default_hooks = dict(checkpoint=dict(save_best='coco/all_ap50'), logger=dict(interval=1))
load_from = 'pkg:clipself_mm.shapes/tiny_fvit/fvit_tiny.safetensors'
"""
"""What configs/fvit/own_data_template.py changes, for the miniature F-ViT."""


@pytest.mark.slow
def test_labels_train_a_detector(shapes, elsewhere, tmp_path, run_tool, capsys):
    """The detector agrees with labels that are its own: its AP is high, its loss is low."""
    images = shapes / 'train'
    tool = [sys.executable, ROOT / 'tools/label_images.py', images, '--workers', '0']
    done = call([*tool, '--out', 'labels'], tmp_path)
    assert done.stdout.splitlines()[-1].startswith('24 images with ')
    content = json.loads((tmp_path / 'labels/annotations.json').read_text())
    assert len(content['annotations']) > 60

    config = tmp_path / 'own.py'
    config.write_text(CONFIG.format(root=ROOT, images=images))
    run_tool('check_data', config)
    checked = capsys.readouterr().out
    assert 'WRONG' not in checked
    assert checked.splitlines()[-1] == 'All files of the config exist and can be read.'
    assert f'annotations.json: 24 images, {len(content["annotations"])} boxes' in checked

    call(train_command(tmp_path / 'run', ['randomness.seed=0'], config=config), tmp_path)
    (scalars,) = (tmp_path / 'run').glob('*/vis_data/scalars.json')
    records = [json.loads(line) for line in scalars.read_text().splitlines()]
    losses = [record['loss'] for record in records if 'loss' in record]
    assert len(losses) == 6
    assert all(math.isfinite(loss) and loss < 2 for loss in losses)
    (found,) = [record for record in records if 'coco/all_ap50' in record]
    assert found['coco/all_ap50'] > 0.8
