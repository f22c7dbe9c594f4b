"""Models that train a CLIP tower's dense features, and models that evaluate them."""

from .clipself import CLIPSelf
from .foundation_model import FoundationModel
from .image_text import ImageText
from .object_regions import ObjectRegions
from .region_classifier import RegionClassifier
from .region_distiller import RegionDistiller
from .region_features import (
    CropFeatures,
    DenseFeatures,
    MaskedAttentionFeatures,
    RegionFeatures,
)
from .region_pooling import RegionPooling, RoIAlignPooling, SimilarityPooling
from .region_preprocessor import RegionPreprocessor
from .region_pseudo_labeler import RegionPseudoLabeler
from .region_recognizer import RegionRecognizer
from .region_text import RegionText
from .teacher_cache import TeacherCache

__all__ = [
    'CLIPSelf',
    'CropFeatures',
    'DenseFeatures',
    'FoundationModel',
    'ImageText',
    'MaskedAttentionFeatures',
    'ObjectRegions',
    'RegionClassifier',
    'RegionDistiller',
    'RegionFeatures',
    'RegionPooling',
    'RegionPreprocessor',
    'RegionPseudoLabeler',
    'RegionRecognizer',
    'RegionText',
    'RoIAlignPooling',
    'SimilarityPooling',
    'TeacherCache',
]
