"""The planner's rows against answers worked by hand."""

import sys
from pathlib import Path

import pytest

from benchmarks import planner
from benchmarks.counting import SHAPES, ViTShape, distillation_bytes, distillation_flops
from benchmarks.planner import GIB, GPU, Job, bandwidth, mean_crops, memory_bytes, plan, sent_bytes
from clipself_mm.datasets.regions.grid_regions import grid_choices

ROOT = Path(__file__).parents[2]
ROUND = GPU(1e12, 1e11, 80 * GIB, 100e9, 'round numbers')
SHAPE = ViTShape(8, 2, 16, 2, 4, 16, native_tokens=5)
JOB = Job(SHAPE, 32, 32, 3.0, batch=2, images=1000)
# 4 matrices of 8 x 8, 2 of 8 x 16, biases 32 + 24, two norms of 16.
BLOCK = 4 * 64 + 2 * 128 + 4 * 8 + 24 + 4 * 8
# Stem, class token, positions, two norms, projection.
TOWER = 2 * BLOCK + 3 * 256 * 8 + 8 + 5 * 8 + 4 * 8 + 8 * 4


def test_mean_number_of_crops():
    assert mean_crops(1) == 1
    assert mean_crops(2) == (1 + 2 + 2 + 4) / 4
    assert mean_crops(2, max_regions=3) == (1 + 2 + 2 + 3) / 4
    grids = grid_choices(6)
    assert mean_crops() == sum(min(m * n, 20) for m, n in grids) / len(grids)


def test_bytes_sent_by_hand():
    assert sent_bytes(JOB, 1) == 0
    assert sent_bytes(JOB, 4) == 2 * 3 / 4 * 4 * 2 * BLOCK
    half_trains = Job(SHAPE, 32, 32, 3.0, unlocked=1)
    assert sent_bytes(half_trains, 2) == 4 * BLOCK


def test_the_network_narrows_what_leaves_a_machine():
    assert bandwidth(ROUND, 8, network=25e9) == 100e9
    assert bandwidth(ROUND, 9, network=25e9) == 25e9
    assert bandwidth(ROUND, 64, network=500e9) == 100e9


def test_time_by_hand():
    flops = distillation_flops(SHAPE, 32, 32, crops=6, images=2)
    alone = plan(JOB, ROUND, 1, utilisation=0.5)
    assert alone.exposed_seconds == 0
    assert alone.step_seconds == pytest.approx(flops.total / 5e11)
    assert alone.epoch_hours == pytest.approx(500 * alone.step_seconds / 3600)
    assert alone.images_per_second == pytest.approx(2 / alone.step_seconds)
    slow = plan(JOB, ROUND, 16, utilisation=0.5, network=1e3)  # 16 GPUs: 32 of 1000 images a step
    sending = 2 * 15 / 16 * 4 * 2 * BLOCK / 1e3
    assert slow.exposed_seconds == pytest.approx(sending - flops.student_backward / 5e11)
    assert slow.epoch_hours == pytest.approx(32 * slow.step_seconds / 3600)
    in_full = plan(Job(SHAPE, 32, 32, 3.0, batch=2, half=False), ROUND, 1, utilisation=0.5)
    assert in_full.step_seconds == pytest.approx(10 * alone.step_seconds)


def test_memory_by_hand():
    kept = distillation_bytes(SHAPE, 32, 2).activations
    full = Job(SHAPE, 32, 32, 3.0, batch=2, half=False)
    pixels = 4 * 3 * 2 * 32 * 32 * (1 + 3)
    teacher = 6 * 5 * (6 * 8 + 3 * 16) * 4
    rest = max(kept, teacher) + pixels + planner.RESERVE
    student, teacher_weights = 4 * (TOWER + 3 * 2 * BLOCK), 4 * TOWER
    assert memory_bytes(full) == student + teacher_weights + rest


@pytest.mark.parametrize('model', SHAPES)
def test_what_saves_memory_saves_it(model):
    side, crop, unlocked = planner.RECIPES[model]
    job = Job(SHAPES[model], side, crop, mean_crops(), unlocked=unlocked)
    checkpointed = Job(
        SHAPES[model], side, crop, mean_crops(), unlocked=unlocked, checkpointing=True
    )
    assert memory_bytes(checkpointed) < memory_bytes(job)
    assert plan(checkpointed, ROUND, 1).step_seconds > plan(job, ROUND, 1).step_seconds


def test_recipes_are_those_of_the_configs():
    from mmengine.config import Config

    names = dict(
        zip(
            planner.RECIPES,
            ('eva02-b16', 'openai-b16', 'eva02-l14-336', 'openai-l14-336'),
            strict=True,
        )
    )
    for model, name in names.items():
        config = Config.fromfile(
            ROOT / f'configs/clipself/clipself_{name}_patches_1xb2-44k_coco.py'
        )
        crop, resize = config.train_dataloader.dataset.pipeline[2:4]
        assert planner.RECIPES[model] == (resize.size, crop.size, config.model.unlocked_blocks)


def test_the_command_prints_a_row_for_each_number(monkeypatch, capsys):
    words = ['planner.py', '--gpu', 'A100', '--gpus', '1', '8', '--cpu-seconds', '0.1']
    monkeypatch.setattr(sys, 'argv', words)
    planner.main()
    printed = capsys.readouterr().out
    assert printed.count('| A100 |') == 2
    assert 'computed, not measured' in printed
    assert 'NVIDIA A100 datasheet' in printed


def test_loader_is_measured():
    assert 0 < planner.loader_seconds(64, 32, repeats=1) < 10
