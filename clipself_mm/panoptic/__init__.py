"""Panoptic segmentation with mmdet. `clipself_mm` does not import it; configs do.

``custom_imports = dict(imports=['clipself_mm', 'clipself_mm.panoptic'])``. Needs `panopticapi`.
"""

from .fused_panoptic_segmentor import FusedPanopticSegmentor
from .open_vocab_panoptic_dataset import OpenVocabPanopticDataset
from .open_vocab_panoptic_metric import OpenVocabPanopticMetric
from .panoptic_vocabulary import find_panoptic_vocabulary
from .text_mask2former import TextMask2Former
from .text_mask2former_head import TextMask2FormerHead
from .thing_mask_metric import ThingMaskMetric

__all__ = [
    'FusedPanopticSegmentor',
    'OpenVocabPanopticDataset',
    'OpenVocabPanopticMetric',
    'TextMask2Former',
    'TextMask2FormerHead',
    'ThingMaskMetric',
    'find_panoptic_vocabulary',
]
