"""Learning rate schedule and parameter groups of the paper."""

from .no_bias_decay_constructor import NoBiasDecayConstructor, split_by_dimension
from .warmup_cosine_lr import WarmupCosineLR, warmup_cosine

__all__ = ['NoBiasDecayConstructor', 'WarmupCosineLR', 'split_by_dimension', 'warmup_cosine']
