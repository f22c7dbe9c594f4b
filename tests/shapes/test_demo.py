"""The demo from its first step to its last, on a dozen scenes."""

import json

from PIL import Image

from clipself_mm.shapes import demo
from clipself_mm.shapes.export import ShapesOV
from tests.commands import ROOT


def test_every_step_leaves_its_figures(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv('OMP_NUM_THREADS', '1')
    monkeypatch.setattr(demo, 'ShapesOV', lambda: ShapesOV(train=8, val=4))
    train = demo.Demo._train
    monkeypatch.setattr(demo.Demo, '_train', lambda *given: train(*given, 'train_cfg.max_epochs=1'))
    results = demo.Demo(ROOT, tmp_path / 'work', tmp_path / 'data').run()
    assert json.loads((tmp_path / 'work/results.json').read_text()) == results
    accuracies = results['region_classification']
    assert list(accuracies) == ['original', 'clipself_patches', 'clipself_proposals']
    for row in accuracies.values():
        assert list(row) == ['boxes', 'thing_masks', 'stuff_masks', 'image_crops']
        assert all(0 <= cell['top1'] <= cell['top5'] <= 100 for cell in row.values())
    assert accuracies['original']['image_crops']['top1'] > 50
    for method in ('clipself_patches', 'clipself_proposals'):
        assert (tmp_path / 'work' / method / 'tower/open_clip_model.safetensors').is_file()
    assert set(results['detection']) == {'original', 'clipself'}
    for row in results['detection'].values():
        assert list(row) == ['novel_ap50', 'base_ap50', 'all_ap50']
    assert results['seconds']['train_clipself_patches'] > 0
    proposals = json.loads((tmp_path / 'work/rpn_proposals.json').read_text())
    assert proposals['annotations']
    for name in ('dense_features.png', 'detections.png'):
        assert min(Image.open(tmp_path / 'work' / name).size) > 100
    shown = capsys.readouterr().out
    for line in (
        demo.format_table(accuracies).splitlines()[-1],
        demo.format_detection_table(results['detection']).splitlines()[-1],
    ):
        assert line in shown


def test_tables_by_hand():
    cells = {route: dict(top1=7.5525, top5=13.4511) for route in demo.ROUTES}
    assert demo.format_table(dict(original=cells)).splitlines()[-1].split() == [
        'original',
        *['7.6', '/', '13.5'] * 4,
    ]
    rows = dict(clipself=dict(novel_ap50=1.25, base_ap50=50.0, all_ap50=9.0))
    assert demo.format_detection_table(rows).splitlines()[-1].split()[1:] == ['1.2', '50.0', '9.0']
