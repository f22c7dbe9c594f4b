"""A random EVA-02 CLIP of a few thousand weights, as a folder that open_clip loads."""

import json

import open_clip
import torch
from safetensors.torch import save_file
from timm.models import register_model
from timm.models.eva import Eva

from tests.factories import MICRO_CONFIG


@register_model
def eva02_micro_clip(pretrained=False, **kwargs):
    """EVA-02 as in CLIP, with heads of 16 channels and images of 32 pixels."""
    settings = dict(
        img_size=32,
        patch_size=8,
        embed_dim=32,
        depth=2,
        num_heads=2,
        mlp_ratio=2.0,
        qkv_fused=False,
        swiglu_mlp=True,
        scale_mlp=True,
        scale_attn_inner=True,
        use_rot_pos_emb=True,
        ref_feat_shape=(16, 16),
        global_pool='token',
    )
    return Eva(**settings | {k: v for k, v in kwargs.items() if k in ('num_classes', 'img_size')})


EVA_CONFIG = {
    'embed_dim': 16,
    'custom_text': True,
    'vision_cfg': {
        'image_size': 32,
        'timm_model_name': 'eva02_micro_clip',
        'timm_model_pretrained': False,
        'timm_pool': 'token',
        'timm_proj': None,
    },
    'text_cfg': MICRO_CONFIG['model_cfg']['text_cfg'],
}


def write_micro_eva(folder, seed=0):
    """Write it; returns its model name."""
    folder.mkdir(parents=True)
    content = MICRO_CONFIG | {'model_cfg': EVA_CONFIG}
    (folder / 'open_clip_config.json').write_text(json.dumps(content))
    torch.manual_seed(seed)
    model = open_clip.create_model(f'local-dir:{folder}', load_weights=False)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    save_file(dict(model.state_dict()), folder / 'open_clip_model.safetensors')
    return f'local-dir:{folder}'
