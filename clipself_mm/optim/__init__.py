"""Schedule and parameter groups of the paper's optimisation."""

from .matrix_decay_constructor import MatrixDecayConstructor, split_by_dimension
from .warmup_cosine_lr import WarmupCosineLR, warmup_cosine

__all__ = ['MatrixDecayConstructor', 'WarmupCosineLR', 'split_by_dimension', 'warmup_cosine']
