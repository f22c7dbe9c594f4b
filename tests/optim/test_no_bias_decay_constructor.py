import pytest
import torch
from mmengine.optim import build_optim_wrapper
from mmengine.registry import OPTIMIZERS
from torch import nn

from clipself_mm.optim import NoBiasDecayConstructor

CONFIG = {
    'type': 'OptimWrapper',
    'constructor': 'NoBiasDecayConstructor',
    'optimizer': {'type': 'AdamW', 'lr': 1e-5, 'betas': (0.9, 0.98), 'weight_decay': 0.1},
}


class Student(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 2)
        self.norm = nn.LayerNorm(4)
        self.scale = nn.Parameter(torch.tensor(1.0))
        self.token = nn.Parameter(torch.zeros(1, 1, 4))
        self.frozen = nn.Linear(4, 4).requires_grad_(False)


def test_trainable_parameters_are_in_two_groups():
    model = Student()
    wrapper = build_optim_wrapper(model, CONFIG)
    decayed, plain = wrapper.optimizer.param_groups
    assert [id(p) for p in decayed['params']] == [id(model.token), id(model.conv.weight)]
    assert {id(p) for p in plain['params']} == {
        id(p) for p in (model.scale, model.conv.bias, model.norm.weight, model.norm.bias)
    }
    assert decayed['weight_decay'] == 0.1
    assert plain['weight_decay'] == 0.0
    assert decayed['lr'] == plain['lr'] == 1e-5
    assert decayed['betas'] == plain['betas'] == (0.9, 0.98)


def test_only_matrices_decay():
    model = nn.Linear(2, 2)
    nn.init.ones_(model.weight)
    nn.init.ones_(model.bias)
    config = {**CONFIG, 'optimizer': {'type': 'AdamW', 'lr': 0.5, 'weight_decay': 0.1}}
    wrapper = build_optim_wrapper(model, config)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    wrapper.step()
    torch.testing.assert_close(model.weight.data, torch.full((2, 2), 0.95))
    torch.testing.assert_close(model.bias.data, torch.ones(2))


def test_frozen_parameters_have_no_optimizer_state():
    model = Student()
    wrapper = build_optim_wrapper(model, CONFIG)
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    wrapper.step()
    held = {id(parameter) for parameter in wrapper.optimizer.state}
    assert held == {id(p) for p in model.parameters() if p.requires_grad}


def test_model_without_vectors_has_two_groups():
    wrapper = build_optim_wrapper(nn.Linear(2, 2, bias=False), CONFIG)
    assert [len(group['params']) for group in wrapper.optimizer.param_groups] == [1, 0]


def test_model_without_trainable_parameters_raises():
    with pytest.raises(ValueError, match=r'Linear.*requires_grad'):
        build_optim_wrapper(nn.Linear(2, 2).requires_grad_(False), CONFIG)


def test_paramwise_cfg_raises():
    with pytest.raises(ValueError, match=r"paramwise_cfg.*\['bias_lr_mult'\]"):
        build_optim_wrapper(nn.Linear(2, 2), {**CONFIG, 'paramwise_cfg': {'bias_lr_mult': 2.0}})


def test_the_config_is_not_changed():
    config = {'optimizer': dict(CONFIG['optimizer'])}
    constructor = NoBiasDecayConstructor(config)
    constructor(nn.Linear(2, 2))
    assert config == {'optimizer': CONFIG['optimizer']}
    assert len(constructor(nn.Linear(2, 2)).optimizer.param_groups) == 2


@pytest.mark.parametrize('refusal', [None, RuntimeError('no kernel here'), TypeError('no `fused`')])
@pytest.mark.parametrize('prefer', [True, False])
def test_optimizer_is_fused_if_supported(prefer, refusal):
    asked = []

    class Sometimes(torch.optim.SGD):
        def __init__(self, params, lr, fused=False):
            asked.append(fused)
            super().__init__(params, lr)
            for group in self.param_groups:
                group.setdefault('told', fused)  # as AdamW does, before it refuses
            if fused and refusal:
                raise refusal

    OPTIMIZERS.register_module(name='Sometimes', module=Sometimes, force=True)
    config = CONFIG | {'optimizer': {'type': 'Sometimes', 'lr': 0.1}, 'prefer_fused': prefer}
    wrapper = build_optim_wrapper(Student(), config)
    assert asked == ([True, False] if prefer and refusal else [prefer])
    told = [group['told'] for group in wrapper.optimizer.param_groups]
    assert told == [prefer and not refusal] * 2


def test_other_errors_of_the_optimizer_raise():
    bad = CONFIG | {'optimizer': {'type': 'AdamW', 'lr': 1e-3, 'no_such': 1}, 'prefer_fused': True}
    with pytest.raises(TypeError, match='no_such'):
        build_optim_wrapper(Student(), bad)


def test_fused_adamw_takes_the_same_steps():
    weights = []
    for prefer in (True, False):
        torch.manual_seed(0)
        model = Student()
        wrapper = build_optim_wrapper(model, CONFIG | {'prefer_fused': prefer})
        for step in range(3):
            for parameter in model.parameters():
                parameter.grad = torch.full_like(parameter, 0.1 * (step + 1))
            wrapper.step()
        weights.append(
            torch.cat([parameter.detach().flatten() for parameter in model.parameters()])
        )
    torch.testing.assert_close(*weights, rtol=1e-6, atol=1e-9)
