"""Registered metrics."""

from .open_vocab_coco_metric import OpenVocabCocoMetric
from .open_vocab_lvis_metric import OpenVocabLVISMetric
from .open_vocab_proposal_recall import OpenVocabProposalRecall
from .proposal_json_writer import ProposalJsonWriter
from .region_classification_metric import RegionClassificationMetric
from .region_text_json_writer import RegionTextJsonWriter

__all__ = [
    'OpenVocabCocoMetric',
    'OpenVocabLVISMetric',
    'OpenVocabProposalRecall',
    'ProposalJsonWriter',
    'RegionClassificationMetric',
    'RegionTextJsonWriter',
]
