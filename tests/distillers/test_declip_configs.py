"""A detector on a DeCLIP tower runs its last block as the distillation did."""

from pathlib import Path

import pytest
from mmengine.config import Config

CONFIGS = Path(__file__).parents[2] / 'configs'


@pytest.mark.parametrize(
    ('name', 'temperature'), [('8xb8-3e_ov-coco', 45), ('8xb8-48e_ov-lvis', 90)]
)
def test_detector_and_distillation_agree(name, temperature):
    detector = Config.fromfile(CONFIGS / f'fvit/fvit_eva02-b16_declip_{name}.py').model
    tower = detector.backbone.tower
    run = Path(tower.checkpoint).parts[1]
    distillation = Config.fromfile(CONFIGS / f'clipself/{run}.py').model
    assert tower.last_block == distillation.tower.last_block != 'value'
    assert tower.model == distillation.tower.model
    assert detector.roi_head.bbox_head.clip_temperature == temperature


def test_lambda_is_that_of_the_paper():
    for name in (
        'clipself/declip_eva02-b16_patches_1xb2-44k_coco',
        'shapes/clipself_tiny_declip_shapes-ov',
    ):
        (loss,) = Config.fromfile(CONFIGS / f'{name}.py').model.dense_losses
        assert (loss.type, loss.loss_weight) == ('ContextDistillLoss', 0.25)
