"""Parameter groups of the paper: trainable parameters only, no weight decay for vectors."""

from __future__ import annotations

from typing import Any

from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapper
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS, OPTIM_WRAPPERS, OPTIMIZERS
from torch import nn
from torch.optim import Optimizer


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class NoBiasDecayConstructor:
    """Two groups of the trainable parameters: matrices with weight decay, the rest without.

    Parameters of at least two dimensions get the optimizer's `weight_decay`; biases, norms and
    scalars get 0. Frozen parameters (frozen blocks, the teacher) are left out, so the optimizer has
    no state for them.

    Used in a config as `optim_wrapper = dict(constructor='NoBiasDecayConstructor', ...)`. With
    `prefer_fused=True` in the same dict, the optimizer uses its fused kernel if it has one for the
    device; the log says which.

    Args:
        optim_wrapper_cfg: Config of the wrapper with `optimizer` and, optionally, `prefer_fused`.
        paramwise_cfg: Must be empty: there are no options.

    Raises:
        ValueError: `paramwise_cfg` is given.
    """

    def __init__(self, optim_wrapper_cfg: dict, paramwise_cfg: dict | None = None) -> None:
        if paramwise_cfg:
            raise ValueError(
                'NoBiasDecayConstructor takes no paramwise_cfg, got '
                f'{sorted(paramwise_cfg)}; use DefaultOptimWrapperConstructor for other rules'
            )
        self.optim_wrapper_cfg = dict(optim_wrapper_cfg)
        self.optimizer_cfg = dict(self.optim_wrapper_cfg.pop('optimizer'))
        self.optim_wrapper_cfg.setdefault('type', 'OptimWrapper')
        self.prefer_fused = self.optim_wrapper_cfg.pop('prefer_fused', False)

    def __call__(self, model: nn.Module) -> OptimWrapper:
        """Build the optimizer and its wrapper.

        Args:
            model: The model, wrapped for distributed training or not.

        Returns:
            Wrapper of an optimizer with two groups: decayed, then not decayed.

        Raises:
            ValueError: No parameter of the model is trainable.
        """
        unwrapped: Any = model.module if is_model_wrapper(model) else model
        decayed, plain = split_by_dimension(unwrapped)
        if not decayed and not plain:
            raise ValueError(
                f'no parameter of {type(unwrapped).__name__} is trainable (requires_grad): is '
                'every block frozen?'
            )
        groups = [{'params': decayed}, {'params': plain, 'weight_decay': 0.0}]
        config = {**self.optimizer_cfg, 'params': groups}
        optimizer = build_fused(config) if self.prefer_fused else OPTIMIZERS.build(config)
        print_log(
            f'NoBiasDecayConstructor: {len(decayed)} parameters with weight decay '
            f'{optimizer.param_groups[0]["weight_decay"]}, {len(plain)} without',
            logger='current',
        )
        return OPTIM_WRAPPERS.build(
            dict(self.optim_wrapper_cfg), default_args={'optimizer': optimizer}
        )


def build_fused(config: dict) -> Optimizer:
    """Build an optimizer with `fused=True` if that is supported, otherwise without.

    Support depends on PyTorch's version (CUDA since 2.0, CPU since 2.4); optimizers raise an error
    for other devices.

    Args:
        config: Config of the optimizer with `params` as groups. If it has `fused`, that is used.
    """
    if 'fused' in config:
        return OPTIMIZERS.build(config)
    try:
        # Copies: an optimizer writes its options into the groups before it raises.
        groups = [dict(group) for group in config['params']]
        optimizer = OPTIMIZERS.build({**config, 'params': groups, 'fused': True})
    except (RuntimeError, TypeError) as error:
        print_log(f'{config["type"]} is not fused: {error}', logger='current')
        return OPTIMIZERS.build(config)
    print_log(f'{config["type"]} is fused', logger='current')
    return optimizer


def split_by_dimension(model: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Trainable parameters of at least two dimensions, and the others, in the model's order.

    Args:
        model: Any module; a shared parameter counts once.

    Returns:
        Parameters with `ndim >= 2` and those with `ndim < 2`.
    """
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return (
        [parameter for parameter in trainable if parameter.ndim >= 2],
        [parameter for parameter in trainable if parameter.ndim < 2],
    )
