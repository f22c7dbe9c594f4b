"""Models that refine a CLIP tower's dense features, and the one that measures them."""

from .clipself import CLIPSelf
from .foundation_model import FoundationModel
from .image_text import ImageText
from .region_classifier import RegionClassifier
from .region_distiller import RegionDistiller
from .region_preprocessor import RegionPreprocessor
from .region_pseudo_labeler import RegionPseudoLabeler
from .region_recognizer import RegionRecognizer
from .region_text import RegionText
from .routes import DenseRoute, ImageCropRoute, MaskedAttentionRoute, RegionRoute
from .teacher_cache import TeacherCache

__all__ = [
    'CLIPSelf',
    'DenseRoute',
    'FoundationModel',
    'ImageCropRoute',
    'ImageText',
    'MaskedAttentionRoute',
    'RegionClassifier',
    'RegionDistiller',
    'RegionPreprocessor',
    'RegionPseudoLabeler',
    'RegionRecognizer',
    'RegionRoute',
    'RegionText',
    'TeacherCache',
]
