"""The only code that knows the insides of a CLIP: towers, dense features, weights, text."""

from .build_tower import build_tower
from .caption_encoder import CaptionEncoder
from .checkpoints import read_state
from .clip_resnet import CLIPResNet
from .eva02_vit import EVA02ViT
from .openclip_vit import OpenCLIPViT
from .prompts import PROMPT_TEMPLATES, average_prompts, expand_prompts
from .region_pooling import mask_pool, roi_pool
from .text_embeddings import TextEmbeddings
from .text_tower import TextTower
from .timm_vit import TimmViT
from .tower_export import export_tower
from .tower_source import TowerSource, find_source
from .vision_tower import CLIP_MEAN, CLIP_STD, VisionTower
from .vit_tower import ViTTower

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
    'build_tower',
    'expand_prompts',
    'export_tower',
    'find_source',
    'mask_pool',
    'read_state',
    'roi_pool',
]
