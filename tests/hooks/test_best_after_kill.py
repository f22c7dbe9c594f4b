"""A distillation killed while it writes the best checkpoint of its last validation."""

import signal

import pytest
import torch

from tests.commands import EPOCHS, PATCHES, assert_same, call, options, train_command
from tests.forks import Fork

BEST = 'best_region_boxes_top1_epoch_2'
CONFIG = f"""
_base_ = ['{PATCHES}']
custom_imports = dict(imports=['clipself_mm', 'tests.hooks.accidents'])
"""


def best(work_dir):
    """Weights and score of the only best checkpoint, and the files of the best tower."""
    (path,) = work_dir.glob('best_*.pth')
    saved = torch.load(path, map_location='cpu', weights_only=False)
    info = saved['message_hub']['runtime_info']
    tower = {file.name: file.read_bytes() for file in (work_dir / 'best_tower').iterdir()}
    assert path.name == f'{BEST}.pth'
    return saved['state_dict'], info['best_score'], tower


@pytest.mark.slow
def test_the_best_of_the_last_validation_survives_a_kill(shapes, micro_clip, tmp_path):
    config = tmp_path / 'config.py'
    config.write_text(CONFIG)
    # The first validation is the last one, and so has the best.
    overrides = options(shapes, micro_clip, *EPOCHS, 'train_cfg.max_epochs=2')
    overrides += ['train_cfg.val_interval=2', 'train_dataloader.dataset.indices=4']
    call(train_command(tmp_path / 'unbroken', overrides, config=config), tmp_path)
    weights, score, tower = best(tmp_path / 'unbroken')
    for half in (True, False):
        work_dir = tmp_path / f'half {half}'
        accident = [
            'default_hooks.accident.type=KillInWrite',
            'default_hooks.accident.beginning=best_',
            f'default_hooks.accident.half={half}',
        ]
        killed = train_command(work_dir, [*overrides, *accident], config=config)
        assert Fork(killed[1:], tmp_path).wait().returncode == -signal.SIGKILL
        assert len(list(work_dir.glob(f'{BEST}.pth'))) == (not half)
        assert not (work_dir / 'best_tower').exists()
        call(train_command(work_dir, overrides, '--resume', config=config), tmp_path)
        resumed = best(work_dir)
        assert_same(resumed[0], weights)
        assert resumed[1:] == (score, tower)
