"""CLIP: image towers, dense features, weight files, text towers and text embeddings."""

from .build_tower import build_tower
from .clip_resnet import CLIPResNet
from .eva02_vit import EVA02ViT
from .openclip_vit import OpenCLIPViT
from .prompts import PROMPT_TEMPLATES, average_prompts, expand_prompts
from .region_pooling import box_cover, mask_pool, roi_pool, similarity_pool
from .text_embeddings import TextEmbeddings
from .text_tower import CaptionEncoder, TextTower
from .timm_vit import TimmViT
from .vision_tower import VisionTower
from .vit_tower import ViTTower
from .weights.checkpoints import read_state
from .weights.tower_source import CLIP_MEAN, CLIP_STD, TowerSource, find_source

__all__ = [
    'CLIP_MEAN',
    'CLIP_STD',
    'PROMPT_TEMPLATES',
    'CLIPResNet',
    'CaptionEncoder',
    'EVA02ViT',
    'OpenCLIPViT',
    'TextEmbeddings',
    'TextTower',
    'TimmViT',
    'TowerSource',
    'ViTTower',
    'VisionTower',
    'average_prompts',
    'box_cover',
    'build_tower',
    'expand_prompts',
    'find_source',
    'mask_pool',
    'read_state',
    'roi_pool',
    'similarity_pool',
]
