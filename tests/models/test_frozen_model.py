"""Models that only predict: always frozen, one parameter for DistributedDataParallel."""

import pytest
import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from clipself_mm.models import FrozenModel, read_test_cfg


class Doubler(FrozenModel):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(2)
        self.freeze()

    def predict(self, inputs, data_samples):
        return self.norm(inputs)

    def _forward(self, inputs, data_samples=None):
        return 2 * inputs


def test_running_statistics_do_not_change():
    """After construction and after `train`, which the loops of a runner call."""
    model = Doubler()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    for _ in range(2):
        found = model(torch.full((3, 2), 5.0), None, mode='predict')
        torch.testing.assert_close(found, torch.full((3, 2), 5.0), rtol=1e-4, atol=0)
        model.train()
        assert not model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert 'unused' in before  # the key in checkpoints of these models


def test_training_raises():
    model = Doubler()
    assert model(torch.ones(2)).tolist() == [2, 2]
    for call in (lambda: model(None, None, mode='loss'), lambda: model.loss(None, None)):
        with pytest.raises(NotImplementedError, match='Doubler'):
            call()


def test_distributed_data_parallel_accepts_it(tmp_path):
    distributed.init_process_group(
        'gloo', init_method=f'file://{tmp_path}/store', rank=0, world_size=1
    )
    try:
        wrapped = DistributedDataParallel(Doubler())
        assert wrapped(torch.ones(2)).tolist() == [2, 2]
    finally:
        distributed.destroy_process_group()


def test_test_cfg_is_completed():
    settings = read_test_cfg(dict(a=3, c=4), dict(a=1, b=2), optional=['c'])
    assert (settings.a, settings.b, settings.c) == (3, 2, 4)
    assert read_test_cfg(None, dict(a=1)) == dict(a=1)
    with pytest.raises(ValueError, match=r"\['d'\].*\['a', 'c'\]"):
        read_test_cfg(dict(d=3), dict(a=1), optional=['c'])
