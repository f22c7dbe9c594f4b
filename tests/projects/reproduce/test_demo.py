"""The demo from its first step to its last, on two dozen scenes; its order and its failures."""

import json
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from projects.reproduce import RunContext, demo
from tests.commands import ROOT
from tests.forks import Fork, ForkedPopen
from tests.projects.reproduce.stub_checkout import Lines

STEPS = [
    *('data', 'evaluate_original', 'train_clipself_patches', 'evaluate_clipself_patches'),
    *('train_fvit_original', 'evaluate_fvit_original', 'proposals', 'train_clipself_proposals'),
    *('evaluate_clipself_proposals', 'train_fvit_clipself', 'evaluate_fvit_clipself', 'pictures'),
]


def context_of(tmp_path, data_root, **options):
    return RunContext(ROOT, tmp_path / 'work', data_root, 'toys', **options)


@pytest.mark.slow
def test_every_step_leaves_its_figures(tmp_path, shapes, monkeypatch):
    monkeypatch.setattr('projects.reproduce.job_queue.subprocess.Popen', ForkedPopen)
    shown = Lines()
    assert demo.Demo(context_of(tmp_path, shapes, epochs=1), 1.5, shown).run()
    results = json.loads((tmp_path / 'work/results.json').read_text())
    accuracies = results['region_classification']
    assert list(accuracies) == ['original', 'clipself_patches', 'clipself_proposals']
    for row in accuracies.values():
        assert list(row) == ['boxes', 'thing_masks', 'stuff_masks', 'image_crops']
        assert all(0 <= cell['top1'] <= cell['top5'] <= 100 for cell in row.values())
    assert accuracies['original']['image_crops']['top1'] > 50
    assert set(results['detection']) == {'original', 'clipself'}
    for row in results['detection'].values():
        assert list(row) == ['novel_ap50', 'base_ap50', 'all_ap50']
    assert sorted(results['seconds']) == sorted(STEPS)
    assert results['seconds']['data'] == 1.5
    assert min(results['seconds'].values()) > 0
    for name in ('patches', 'proposals'):
        assert (tmp_path / f'work/{name}_seed0/tower/open_clip_model.safetensors').is_file()
    assert json.loads((tmp_path / 'work/propose_seed0/proposals.json').read_text())['annotations']
    for name in ('dense_features.png', 'detections.png'):
        assert min(Image.open(tmp_path / 'work' / name).size) > 100
    text = shown.stream.getvalue()
    for table in (
        demo.format_table(accuracies),
        demo.format_detection_table(results['detection']),
    ):
        assert table in text
    assert 'mmengine' not in text  # that is in log.txt of each run


def test_the_longest_chain_comes_first_and_detectors_are_measured_beside_it(tmp_path):
    runs = demo.Demo(context_of(tmp_path, tmp_path)).queue.runs
    assert [*runs][:5] == [
        *('detect_fvit_original_seed0', 'propose_seed0', 'proposals_seed0'),
        *('detect_fvit_proposals_seed0', 'evaluate_detect_fvit_proposals_seed0'),
    ]
    needing = [
        key for key, run in runs.items() if runs['detect_fvit_original_seed0'] in run.needs.values()
    ]
    assert needing == ['propose_seed0', 'evaluate_detect_fvit_original_seed0']
    detector = runs['evaluate_detect_fvit_proposals_seed0']
    tower = f'model.backbone.tower.model=local-dir:{tmp_path}/work/proposals_seed0/tower'
    assert tower in detector.options()
    assert tower in detector.needs['detector'].options()
    for run in runs.values():
        if run.experiment.trains:
            assert 'train_cfg.val_begin=1000000' in run.options()


@pytest.mark.slow
def test_a_broken_step_is_one_sentence(tmp_path, shapes):
    """And nothing goes on in the background."""
    broken = tmp_path / 'checkout'
    for name in ('configs', 'clipself_mm', 'projects'):
        (broken / name).parent.mkdir(exist_ok=True)
        (broken / name).symlink_to(ROOT / name)
    (broken / 'tools').mkdir()
    (broken / 'tools/demo.py').write_text((ROOT / 'tools/demo.py').read_text())
    (broken / 'tools/train.py').write_text(
        'import sys, time\n'
        "if 'fvit' in sys.argv[1]:\n    time.sleep(0.3)\n    sys.exit('no memory left')\n"
        'time.sleep(600)\n'
    )
    work = tmp_path / 'work'
    command = [sys.executable, 'tools/demo.py', '--work-dir', work, '--data-root', shapes]
    start = time.monotonic()
    done = Fork(command[1:], broken).wait()
    assert time.monotonic() - start < 500  # the other chain was ended
    assert done.returncode == 1
    last = done.stdout.splitlines()[-1]
    assert last.startswith('detect_fvit_original_seed0 failed with exit code 1 after ')
    assert 'no memory left' in Path(last.split()[-1]).read_text()
    assert 'Traceback' not in done.stdout + done.stderr
    (work / 'patches_seed0/setup.json').write_text('{"setup": "another"}')
    done = Fork(command[1:], broken).wait()
    assert done.returncode == 2
    assert 'patches_seed0 holds a run of another setup' in done.stderr
    assert 'Traceback' not in done.stderr
