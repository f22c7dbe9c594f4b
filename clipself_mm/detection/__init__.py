"""F-ViT: open-vocabulary detection on a frozen CLIP ViT."""

from .fvit import FViT
from .fvit_backbone import FViTBackbone
from .fvit_bbox_head import FViTBBoxHead
from .fvit_roi_head import FViTRoIHead
from .score_fusion import fuse_scores, fusion_weights
from .text_classifier import TextClassifier

__all__ = [
    'FViT',
    'FViTBBoxHead',
    'FViTBackbone',
    'FViTRoIHead',
    'TextClassifier',
    'fuse_scores',
    'fusion_weights',
]
