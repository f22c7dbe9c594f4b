"""Hooks of the training loop: checkpoints, batch norms, the blend of student and teacher."""

from .durable_checkpoint_hook import DurableCheckpointHook
from .ensemble import blend_state
from .sync_bn_hook import SyncBNHook
from .weight_ensemble_hook import WeightEnsembleHook

__all__ = ['DurableCheckpointHook', 'SyncBNHook', 'WeightEnsembleHook', 'blend_state']
