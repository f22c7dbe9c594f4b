"""A detector runs its tower's last block as the distillation did."""

from pathlib import Path

import pytest
from mmengine.config import Config

CONFIGS = Path(__file__).parents[2] / 'configs'


@pytest.mark.parametrize(
    'name', ['declip_8xb8-3e_ov-coco', 'declip_8xb8-48e_ov-lvis', 'values3_8xb8-3e_ov-coco']
)
def test_detector_and_distillation_agree(name):
    detector = Config.fromfile(CONFIGS / f'fvit/fvit_eva02-b16_{name}.py').model
    tower = detector.backbone.tower
    run = Path(tower.checkpoint).parts[1]
    distillation = Config.fromfile(CONFIGS / f'clipself/{run}.py').model
    assert tower.last_block == distillation.tower.last_block != 'value'
    assert tower.model == distillation.tower.model
