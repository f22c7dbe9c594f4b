"""Builds the towers that the golden values were recorded with, from the fixtures' own config."""

import timm
import torch
from open_clip.model import _build_text_tower, _build_vision_tower
from torch import nn

from clipself_mm.clip import EVA02ViT, OpenCLIPViT, VisionTower, read_state
from clipself_mm.clip.weights.checkpoints import load_text, load_visual, read_logit_scale
from clipself_mm.clip.weights.layouts import canonical_names
from clipself_mm.clip.weights.tower_source import TowerSource
from tests.parity.fixtures import FIXTURES, fixture_weights

ARCHITECTURE_OF = {
    'eva_tiny_weights': 'eva_tiny',
    'clipself_step_eva_student': 'eva_tiny',
    'openai_tiny_weights': 'openai_tiny',
    'clipself_step_openai_student': 'openai_tiny',
}


class _Visual(nn.Module):
    def __init__(self, trunk: nn.Module) -> None:
        super().__init__()
        self.trunk = trunk


def build_tower(weights: str, config: dict) -> VisionTower:
    """The tower of one weights file; ``config`` is the whole of the fixtures' config.json."""
    architecture = ARCHITECTURE_OF[weights]
    section = config[architecture]
    vision = section['vision_cfg']
    if architecture == 'eva_tiny':
        side = vision['pt_hw_seq_len']
        trunk = timm.create_model(
            'eva02_base_patch16_clip_224',
            img_size=vision['image_size'],
            patch_size=vision['patch_size'],
            embed_dim=vision['width'],
            depth=vision['layers'],
            num_heads=vision['width'] // vision['head_width'],
            mlp_ratio=vision['mlp_ratio'],
            num_classes=section['embed_dim'],
            ref_feat_shape=(side, side),
        )
        tower = EVA02ViT(_Visual(trunk))
    else:
        tower = OpenCLIPViT(
            _build_vision_tower(section['embed_dim'], vision, section['quick_gelu'])
        )
    for module in tower.modules():
        if isinstance(module, nn.LayerNorm):
            module.eps = section['layer_norm_eps']
    path = FIXTURES / f'{weights}.safetensors'
    load_visual(tower, read_state(path), str(path))
    return tower.eval()


def build_text(weights: str, config: dict) -> nn.Module:
    section = config[ARCHITECTURE_OF[weights]]
    text_config = {
        key: value
        for key, value in section['text_cfg'].items()
        if key in ('context_length', 'vocab_size', 'width', 'heads', 'layers')
    }
    text = _build_text_tower(section['embed_dim'], text_config, section.get('quick_gelu', False))
    path = FIXTURES / f'{weights}.safetensors'
    load_text(text, read_state(path), str(path))
    return text.eval()


def logit_scale(weights: str) -> torch.Tensor:
    source = TowerSource(weights, {}, str(FIXTURES / f'{weights}.safetensors'))
    return torch.tensor(read_logit_scale(source))


def recorded_names(weights):
    """Our parameter names to the release's."""
    marker = 'visual.patch_embed.proj.weight'
    names = {}
    for key, value in fixture_weights(weights).items():
        layout = {marker: value, key: value} if 'eva' in weights else {key: value}
        names.update(dict.fromkeys(set(canonical_names(layout)) - set(names), key))
    if 'eva' in weights:
        (renamed,) = canonical_names({marker: torch.zeros(1)})
        names[renamed] = marker
    return names
