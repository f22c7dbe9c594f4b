import math

import pytest
import torch
from mmengine.logging import MMLogger
from mmengine.optim import OptimWrapper
from mmengine.registry import PARAM_SCHEDULERS

from clipself_mm.optim import WarmupCosineLR, warmup_cosine


def optimizer(*rates):
    groups = [{'params': [torch.nn.Parameter(torch.zeros(1))], 'lr': rate} for rate in rates]
    return torch.optim.SGD(groups, lr=1.0)


def rates_of(optim, scheduler, steps):
    seen = []
    for _ in range(steps):
        seen.append([group['lr'] for group in optim.param_groups])
        optim.step()
        scheduler.step()
    return seen


def test_factors_by_hand():
    # Warm-up of 4, then cosine over 6 steps at angles 0, 30, ..., 150 degrees.
    expected = [0.25, 0.5, 0.75, 1.0, 1.0, 0.5 + 0.25 * math.sqrt(3), 0.75, 0.5, 0.25]
    assert [warmup_cosine(step, 4, 10) for step in range(9)] == pytest.approx(expected, abs=1e-15)
    assert warmup_cosine(0, 0, 10) == 1.0


def test_groups_have_their_own_base_learning_rate():
    optim = optimizer(1.0, 0.1)
    seen = rates_of(optim, WarmupCosineLR(optim, 2, 6), 6)
    factors = [warmup_cosine(step, 2, 6) for step in range(6)]
    assert seen == [[factor, 0.1 * factor] for factor in factors]


def test_last_value_is_kept_after_the_end():
    optim = optimizer(1.0)
    seen = rates_of(optim, WarmupCosineLR(optim, 0, 3), 5)
    assert seen[2] == seen[3] == seen[4] == [warmup_cosine(2, 0, 3)]


def test_begin_shifts_the_schedule():
    optim = optimizer(1.0)
    seen = rates_of(optim, WarmupCosineLR(optim, 1, 6, begin=2), 6)
    assert [value for [value] in seen[2:]] == [warmup_cosine(step, 1, 4) for step in range(4)]


def test_resume_is_exact():
    whole = optimizer(0.3, 0.7)
    expected = rates_of(whole, WarmupCosineLR(whole, 3, 11), 11)
    first = optimizer(0.3, 0.7)
    scheduler = WarmupCosineLR(first, 3, 11)
    seen = rates_of(first, scheduler, 5)
    resumed = optimizer(0.3, 0.7)
    continued = WarmupCosineLR(resumed, 3, 11)
    resumed.load_state_dict(first.state_dict())
    continued.load_state_dict(scheduler.state_dict())
    assert seen + rates_of(resumed, continued, 6) == expected


def test_length_in_epochs_from_a_config():
    optim = OptimWrapper(optimizer(1.0))
    scheduler = PARAM_SCHEDULERS.build(
        {
            'type': 'WarmupCosineLR',
            'warmup': 3,
            'end': 2,
            'by_epoch': True,
            'convert_to_iter_based': True,
        },
        default_args={'optimizer': optim, 'epoch_length': 5},
    )
    assert not scheduler.by_epoch
    assert [value for [value] in rates_of(optim, scheduler, 10)] == [
        warmup_cosine(step, 3, 10) for step in range(10)
    ]


def test_schedule_within_the_warmup_warns(caplog):
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    optim = optimizer(1.0)
    seen = rates_of(optim, WarmupCosineLR(optim, 10, 3), 3)
    logger.removeHandler(caplog.handler)
    assert [value for [value] in seen] == [0.1, 0.2, 0.3]
    (text,) = (r.getMessage() for r in caplog.records if 'WarmupCosineLR' in r.getMessage())
    assert {'3', '10'} <= set(text.split())


def test_epochs_without_conversion_raise():
    with pytest.raises(ValueError, match='convert_to_iter_based'):
        WarmupCosineLR(optimizer(1.0), 3, 6, by_epoch=True)
    with pytest.raises(ValueError, match='by_epoch=False'):
        WarmupCosineLR.build_iter_from_epoch(
            optimizer(1.0), warmup=1, end=2, epoch_length=5, by_epoch=False
        )
    with pytest.raises(ValueError, match=r'warmup.*-1\b'):
        WarmupCosineLR(optimizer(1.0), -1, 6)
