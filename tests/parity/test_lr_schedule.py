"""Learning rates against the release's `cosine_lr` and `const_lr`."""

import pytest
import torch
from mmengine.optim import LinearLR

from clipself_mm.optim import WarmupCosineLR
from tests.parity.fixtures import GoldenFile

pytestmark = pytest.mark.parity


def rates(make_scheduler, base, steps):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=base)
    scheduler = make_scheduler(optimizer)
    seen = []
    for _ in range(steps):
        seen.append(optimizer.param_groups[0]['lr'])
        optimizer.step()
        scheduler.step()
    return torch.tensor(seen, dtype=torch.float64)


def test_lr_schedule():
    golden = GoldenFile('lr_schedule')
    base, warmup, total = (
        golden.inputs[key].item() for key in ('base_lr', 'warmup', 'total_steps')
    )
    golden.check(
        'cosine_lr',
        rates(lambda optimizer: WarmupCosineLR(optimizer, warmup, total), base, total),
        tolerance=1e-12,
    )
    # The constant schedule is mmengine's own LinearLR, which needs no class of ours.
    golden.check(
        'const_lr',
        rates(
            lambda optimizer: LinearLR(
                optimizer, start_factor=1 / warmup, end=warmup, by_epoch=False
            ),
            base,
            total,
        ),
        tolerance=1e-12,
    )
    golden.finish()
