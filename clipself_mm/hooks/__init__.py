"""Hooks of the training loop: durable checkpoints and the blend of student and teacher."""

from .durable_checkpoint_hook import DurableCheckpointHook
from .ensemble import blend_state
from .weight_ensemble_hook import WeightEnsembleHook

__all__ = ['DurableCheckpointHook', 'WeightEnsembleHook', 'blend_state']
