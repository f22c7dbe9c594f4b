"""Hooks: checkpoints, batch norms, weight ensemble, checks before training."""

from .delayed_runtime_info_hook import DelayedRuntimeInfoHook
from .durable_checkpoint_hook import DurableCheckpointHook
from .finite_loss_hook import FiniteLossHook
from .interrupt_hook import InterruptHook
from .resume_hook import ResumeHook
from .start_check_hook import StartCheckHook
from .sync_bn_hook import SyncBNHook
from .vocabulary_check_hook import VocabularyCheckHook
from .weight_ensemble_hook import WeightEnsembleHook, blend_state
from .work_dir_lock_hook import WorkDirLockHook

__all__ = [
    'DelayedRuntimeInfoHook',
    'DurableCheckpointHook',
    'FiniteLossHook',
    'InterruptHook',
    'ResumeHook',
    'StartCheckHook',
    'SyncBNHook',
    'VocabularyCheckHook',
    'WeightEnsembleHook',
    'WorkDirLockHook',
    'blend_state',
]
