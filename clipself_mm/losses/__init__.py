"""Losses of the distillers and detectors: pure functions and registered modules."""

from .context_distill_loss import ContextDistillLoss, correlation_distance
from .contrastive_loss import ContrastiveLoss, symmetric_info_nce
from .correlation_distill_loss import CorrelationDistillLoss, correlation_cross_entropy
from .cosine_distill_loss import CosineDistillLoss, cosine_distance
from .dense_batch import DenseBatch, image_cells
from .open_vocab_ce_loss import OpenVocabCELoss, mask_unseen
from .region_text_loss import RegionTextLoss, region_text_loss, sample_categories

__all__ = [
    'ContextDistillLoss',
    'ContrastiveLoss',
    'CorrelationDistillLoss',
    'CosineDistillLoss',
    'DenseBatch',
    'OpenVocabCELoss',
    'RegionTextLoss',
    'correlation_cross_entropy',
    'correlation_distance',
    'cosine_distance',
    'image_cells',
    'mask_unseen',
    'region_text_loss',
    'sample_categories',
    'symmetric_info_nce',
]
