"""F-ViT: open-vocabulary detection with a frozen CLIP ViT."""

from .fvit import FViT
from .fvit_backbone import FViTBackbone
from .fvit_bbox_head import FViTBBoxHead
from .fvit_roi_head import FViTRoIHead
from .generic_foreground import GenericForeground
from .image_detections import ImageDetections
from .norm_rpn_head import NormRPNHead
from .open_vocab_detector import OpenVocabDetector
from .score_fusion import fuse_scores, fusion_weights
from .simple_fpn import SimpleFPN
from .square_data_preprocessor import SquareDataPreprocessor
from .text_classifier import TextClassifier

__all__ = [
    'FViT',
    'FViTBBoxHead',
    'FViTBackbone',
    'FViTRoIHead',
    'GenericForeground',
    'ImageDetections',
    'NormRPNHead',
    'OpenVocabDetector',
    'SimpleFPN',
    'SquareDataPreprocessor',
    'TextClassifier',
    'fuse_scores',
    'fusion_weights',
]
