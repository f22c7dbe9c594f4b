"""Small random towers of every architecture, assembled from open_clip's and timm's own classes."""

import timm
import torch
from open_clip.model import _build_vision_tower
from torch import nn

from clipself_mm.clip.build_tower import find_adapter
from clipself_mm.clip.eva02_vit import EVA02ViT
from clipself_mm.clip.timm_vit import TimmViT

PLAIN = dict(layers=3, width=64, head_width=32)
SMALL = dict(embed_dim=64, depth=3, num_heads=2)
PE = dict(SMALL, img_size=64, num_classes=24, ref_feat_shape=(4, 4), attn_pool_num_heads=2)

OPEN_CLIP = {
    'patch14': dict(PLAIN, image_size=56, patch_size=14),
    'patch16': dict(PLAIN, image_size=64, patch_size=16),
    'patch32': dict(PLAIN, image_size=96, patch_size=32),
    'quickgelu': dict(PLAIN, image_size=64, patch_size=16),
    'layer_scale': dict(PLAIN, image_size=64, patch_size=16, ls_init_value=0.1),
    'clipa': dict(
        PLAIN,
        image_size=56,
        patch_size=14,
        no_ln_pre=True,
        pool_type='avg',
        final_ln_after_pool=True,
        pos_embed_type='sin_cos_2d',
    ),
    'mean_of_normed': dict(PLAIN, image_size=64, patch_size=16, pool_type='avg'),
    'resnet': dict(layers=[1, 2, 1, 1], width=16, head_width=64, image_size=96),
}
EVA = {
    'eva01': ('eva_giant_patch14_224', dict(SMALL, img_size=56, num_classes=24)),
    'eva02': (
        'eva02_base_patch16_clip_224',
        dict(SMALL, img_size=64, num_classes=24, ref_feat_shape=(16, 16)),
    ),
    'eva02_e': ('eva02_enormous_patch14_clip_224', dict(SMALL, img_size=56, num_classes=24)),
    'pe_core': ('vit_pe_core_base_patch16_224', PE),
    'pe_core_g': ('vit_pe_core_gigantic_patch14_448', dict(PE, img_size=56)),
}
TIMM = {
    'siglip': ('vit_base_patch16_siglip_224', dict(SMALL, img_size=64, num_classes=0)),
    'siglip_gopt': ('vit_giantopt_patch16_siglip_256', dict(SMALL, img_size=64, num_classes=0)),
    'mobileclip_b': ('vit_base_mci_224', dict(depth=2, img_size=64, num_classes=24)),
    'mobileclip2_l': ('vit_large_patch14_clip_224', dict(SMALL, img_size=56, num_classes=24)),
    'mean': ('vit_medium_patch16_gap_256', dict(SMALL, img_size=64, num_classes=0)),
}
POOLED = {'clipa', 'mean_of_normed', 'pe_core', 'pe_core_g', 'siglip', 'siglip_gopt', 'mean'}
CLASS_TOKEN = [name for name in (*OPEN_CLIP, *EVA, *TIMM) if name not in {*POOLED, 'resnet'}]
ALL = [*OPEN_CLIP, *EVA, *TIMM]


class Visual(nn.Module):
    """What open_clip's ``TimmModel`` is, with a trunk of a size of one's own."""

    def __init__(self, trunk, head=()):
        super().__init__()
        self.trunk = trunk
        self.head = nn.Sequential(*head)

    def forward(self, images):
        return self.head(self.trunk(images))


def small_tower(kind, **changes):
    """A tower of a kind in eval mode, every weight random; ``changes`` go to its model."""
    torch.manual_seed(0)
    if kind in OPEN_CLIP:
        visual = _build_vision_tower(24, {**OPEN_CLIP[kind], **changes}, kind == 'quickgelu')
        adapter = find_adapter(visual)
    else:
        model, config = {**EVA, **TIMM}[kind]
        if kind == 'eva01':
            changes = dict(global_pool='token', **changes)
        trunk = timm.create_model(model, **{**config, **changes})
        head = [nn.Linear(64, 24, bias=False)] if kind == 'mean' else []
        visual = Visual(trunk, head)
        adapter = EVA02ViT if kind in EVA else TimmViT
    with torch.no_grad():
        for parameter in visual.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        for name, buffer in visual.named_buffers():
            if name.endswith('running_mean'):
                buffer.normal_(std=0.1)
    return adapter(visual).eval()


def images_of(tower, rows, columns, count=2):
    """Random images of a number of cells."""
    generator = torch.Generator().manual_seed(1)
    size = (rows * tower.patch_size, columns * tower.patch_size)
    return torch.randn(count, 3, *size, generator=generator)


def native_images(tower):
    """Random images of the tower's own size."""
    side = tower.image_size // tower.patch_size
    return images_of(tower, side, side)
