"""Losses of the distillers and detectors; pure functions first, registered modules second."""

from .cosine_distill_loss import CosineDistillLoss, cosine_distance

__all__ = ['CosineDistillLoss', 'cosine_distance']
