"""Losses of the distillers and detectors; pure functions first, registered modules second."""

from .cosine_distill_loss import CosineDistillLoss, cosine_distance
from .open_vocab_ce_loss import OpenVocabCELoss, mask_unseen

__all__ = ['CosineDistillLoss', 'OpenVocabCELoss', 'cosine_distance', 'mask_unseen']
