"""Models that refine a CLIP tower's dense features, and the one that measures them."""

from .clipself import CLIPSelf
from .region_classifier import RegionClassifier
from .region_preprocessor import RegionPreprocessor
from .region_recognizer import RegionRecognizer

__all__ = ['CLIPSelf', 'RegionClassifier', 'RegionPreprocessor', 'RegionRecognizer']
