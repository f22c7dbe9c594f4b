"""Models that refine a CLIP tower's dense features, and the one that measures them."""

from .clipself import CLIPSelf
from .region_classifier import RegionClassifier
from .region_preprocessor import RegionPreprocessor
from .region_recognizer import RegionRecognizer
from .routes import DenseRoute, ImageCropRoute, MaskedAttentionRoute, RegionRoute

__all__ = [
    'CLIPSelf',
    'DenseRoute',
    'ImageCropRoute',
    'MaskedAttentionRoute',
    'RegionClassifier',
    'RegionPreprocessor',
    'RegionRecognizer',
    'RegionRoute',
]
