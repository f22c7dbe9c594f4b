"""Losses of the distillers and detectors: pure functions and registered modules."""

from .centred_cosine_loss import CentredCosineLoss
from .context_distill_loss import ContextDistillLoss, correlation_distance
from .contrastive_loss import ContrastiveLoss, symmetric_info_nce
from .correlation_distill_loss import CorrelationDistillLoss, correlation_cross_entropy
from .cosine_distill_loss import CosineDistillLoss, cosine_distance
from .dense_batch import DenseBatch, image_cells
from .image_distill_loss import ImageDistillLoss
from .open_vocab_ce_loss import OpenVocabCELoss, mask_unseen
from .region_text_loss import RegionTextLoss, region_text_loss, sample_categories
from .relational_distill_loss import RelationalDistillLoss, relational_divergence
from .token_distill_loss import TokenDistillLoss, token_targets

__all__ = [
    'CentredCosineLoss',
    'ContextDistillLoss',
    'ContrastiveLoss',
    'CorrelationDistillLoss',
    'CosineDistillLoss',
    'DenseBatch',
    'ImageDistillLoss',
    'OpenVocabCELoss',
    'RegionTextLoss',
    'RelationalDistillLoss',
    'TokenDistillLoss',
    'correlation_cross_entropy',
    'correlation_distance',
    'cosine_distance',
    'image_cells',
    'mask_unseen',
    'region_text_loss',
    'relational_divergence',
    'sample_categories',
    'symmetric_info_nce',
    'token_targets',
]
