"""A random micro CLIP in open_clip's folder format."""

import json

import open_clip
import torch
from safetensors.torch import save_file

MICRO_CONFIG = {
    'model_cfg': {
        'embed_dim': 16,
        'vision_cfg': {
            'image_size': 32,
            'layers': 3,
            'width': 32,
            'head_width': 16,
            'patch_size': 8,
        },
        'text_cfg': {
            'context_length': 24,
            'vocab_size': 49408,
            'width': 16,
            'heads': 2,
            'layers': 1,
        },
    },
    'preprocess_cfg': {
        'mean': [0.48145466, 0.4578275, 0.40821073],
        'std': [0.26862954, 0.26130258, 0.27577711],
        'resize_mode': 'longest',
    },
}


def write_micro_clip(folder, seed=0):
    """Write a random CLIP that ``local-dir:`` loads; returns its model name."""
    folder.mkdir(parents=True)
    (folder / 'open_clip_config.json').write_text(json.dumps(MICRO_CONFIG))
    torch.manual_seed(seed)
    model = open_clip.create_model(f'local-dir:{folder}', load_weights=False)
    with torch.no_grad():
        for parameter in model.visual.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    save_file(dict(model.state_dict()), folder / 'open_clip_model.safetensors')
    return f'local-dir:{folder}'
