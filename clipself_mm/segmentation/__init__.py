"""Semantic segmentation with mmseg. `clipself_mm` does not import it; configs do.

``custom_imports = dict(imports=['clipself_mm', 'clipself_mm.segmentation'])``
"""

from .ade847_dataset import ADE847Dataset
from .cat_seg import CATSeg
from .cat_seg_backbone import CATSegBackbone
from .cat_seg_head import CATSegHead
from .checked_datasets import (
    CheckedADE20KDataset,
    CheckedCOCOStuffDataset,
    CheckedPascalContextDataset59,
)
from .dense_text_head import DenseTextHead, dense_logits
from .load_panoptic_semantic import LoadPanopticSemantic
from .load_uint16_labels import LoadUint16Labels
from .panoptic_seg_dataset import PanopticSegDataset
from .pixel_bce_loss import PixelBCELoss
from .upsample_argmax import upsample_argmax
from .zero_shot_segmentor import ZeroShotSegmentor

__all__ = [
    'ADE847Dataset',
    'CATSeg',
    'CATSegBackbone',
    'CATSegHead',
    'CheckedADE20KDataset',
    'CheckedCOCOStuffDataset',
    'CheckedPascalContextDataset59',
    'DenseTextHead',
    'LoadPanopticSemantic',
    'LoadUint16Labels',
    'PanopticSegDataset',
    'PixelBCELoss',
    'ZeroShotSegmentor',
    'dense_logits',
    'upsample_argmax',
]
