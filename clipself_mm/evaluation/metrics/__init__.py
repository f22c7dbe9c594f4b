"""Metrics registered for configs."""

from .open_vocab_coco_metric import OpenVocabCocoMetric
from .open_vocab_lvis_metric import OpenVocabLVISMetric
from .proposal_json_writer import ProposalJsonWriter
from .region_classification_metric import RegionClassificationMetric

__all__ = [
    'OpenVocabCocoMetric',
    'OpenVocabLVISMetric',
    'ProposalJsonWriter',
    'RegionClassificationMetric',
]
