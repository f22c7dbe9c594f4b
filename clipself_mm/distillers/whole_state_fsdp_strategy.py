"""mmengine's FSDP strategy, with what makes its optimizer and its resuming right."""

from __future__ import annotations

from mmengine._strategy import FSDPStrategy
from mmengine.device import get_device
from mmengine.optim import BaseOptimWrapper
from mmengine.registry import STRATEGIES
from torch import nn
from torch.distributed.fsdp import FullStateDictConfig
from torch.distributed.fsdp import FullyShardedDataParallel as FSDP
from torch.distributed.fsdp.fully_sharded_data_parallel import FullOptimStateDictConfig
from torch.optim import Optimizer


@STRATEGIES.register_module()
class WholeStateFSDPStrategy(FSDPStrategy):
    """FSDP whose checkpoints are those of any other training: whole, in one file.

    - Groups of parameters are made while the weights are whole. Spread ones are all of one
      dimension, and a rule that decays matrices alone would decay nothing.
    - On a processor nothing is moved to the processor: FSDP frees what it believes it has copied.
    - mmengine hands FSDP the optimizer's state in the order of arguments that torch 2.0 had, so a
      resumed run fails on later versions; here they have names.
    - The loss scale of mixed precision is in the checkpoint, and all processes skip the same steps:
      torch asks all of them about overflows only where gradients are unscaled before the step,
      which fused optimizers would do in the midst of it, each process by its own share.

    Args:
        **kwargs: As in `FSDPStrategy`, without `state_dict_cfg`.
    """

    def __init__(self, **kwargs: object) -> None:
        kept = dict(rank0_only=True, offload_to_cpu=get_device() != 'cpu')
        super().__init__(
            state_dict_cfg=dict(
                state_dict_type='FULL_STATE_DICT',
                state_dict_config=FullStateDictConfig(**kept),
                optim_state_dict_config=FullOptimStateDictConfig(**kept),
            ),
            **kwargs,
        )

    def build_optim_wrapper(
        self, optim_wrapper: Optimizer | BaseOptimWrapper | dict, model: nn.Module | None = None
    ) -> BaseOptimWrapper:
        """Build the optimizer of the spread weights by rules for whole ones."""
        with FSDP.summon_full_params(model, writeback=False):
            wrapper = super().build_optim_wrapper(optim_wrapper, model)
        if hasattr(wrapper, 'loss_scaler'):
            wrapper.optimizer._step_supports_amp_scaling = False
        return wrapper

    def optim_state_dict(self) -> dict:
        """The optimizer's state, gathered, by names of weights; empty but on the first process."""
        state = FSDP.optim_state_dict(model=self.model, optim=self.optim_wrapper.optimizer)
        if state and hasattr(self.optim_wrapper, 'loss_scaler'):
            state['loss_scaler'] = self.optim_wrapper.loss_scaler.state_dict()
        return state

    def load_optim_state_dict(self, state_dict: dict) -> None:
        """Spread a gathered state of the optimizer.

        Args:
            state_dict: From `optim_state_dict`.
        """
        scale = {key: value for key, value in state_dict.items() if key == 'loss_scaler'}
        gathered = {key: value for key, value in state_dict.items() if key not in scale}
        spread = FSDP.optim_state_dict_to_load(
            model=self.model, optim=self.optim_wrapper.optimizer, optim_state_dict=gathered
        )
        self.optim_wrapper.load_state_dict({**spread, **scale})
