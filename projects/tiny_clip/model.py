"""The tiny CLIP as an open_clip model: build, export, load, normalise pixels."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from clipself_mm import shapes
from clipself_mm.io.atomic_write import atomic_write

TINY_CLIP = Path(shapes.__file__).parent / 'tiny_clip'
"""The folder that ships with the package, for open_clip's ``local-dir:``."""

IMAGE_TOWERS: dict[str, dict] = {
    'vit': {},
    'resnet': {
        'vision_cfg': {'image_size': 64, 'layers': [1, 2, 2, 1], 'width': 16, 'head_width': 64}
    },
}
"""Changes of the shipped config. The ResNet is open_clip's with attention pooling: stride 32,
1.45 M parameters (ViT: 1.04 M)."""


def tiny_clip_config(tower: str = 'vit') -> dict:
    """open_clip config of the model with one of the image towers.

    Args:
        tower: Key of ``IMAGE_TOWERS``.

    Raises:
        ValueError: There is no such tower.
    """
    if tower not in IMAGE_TOWERS:
        raise ValueError(f'image tower {tower!r}: expected one of {sorted(IMAGE_TOWERS)}')
    config = json.loads((TINY_CLIP / 'open_clip_config.json').read_text(encoding='utf-8'))
    config['model_cfg'] |= IMAGE_TOWERS[tower]
    return config


def build_tiny_clip(seed: int, tower: str = 'vit') -> nn.Module:
    """Build the untrained model with one of ``IMAGE_TOWERS``."""
    from open_clip import CLIP

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return CLIP(**tiny_clip_config(tower)['model_cfg'])


def normalise_pixels(images: np.ndarray) -> Tensor:
    """Normalise uint8 images (N, H, W, 3) to CLIP's input (N, 3, H, W)."""
    config = json.loads((TINY_CLIP / 'open_clip_config.json').read_text(encoding='utf-8'))
    mean, std = (torch.tensor(config['preprocess_cfg'][key]) for key in ('mean', 'std'))
    pixels = torch.from_numpy(images).float() / 255
    return ((pixels - mean) / std).permute(0, 3, 1, 2).contiguous()


def export_tiny_clip(model: nn.Module, out: Path, tower: str = 'vit') -> Path:
    """Write float16 weights and the config as a folder for open_clip's ``local-dir:``.

    Buffers (running statistics of batch norms) keep their precision.

    Args:
        model: Trained model.
        out: Output folder.
        tower: The image tower, a key of ``IMAGE_TOWERS``.

    Returns:
        The weight file (written atomically).
    """
    from safetensors.torch import save

    out.mkdir(parents=True, exist_ok=True)
    if tower == 'vit':
        config = (TINY_CLIP / 'open_clip_config.json').read_text(encoding='utf-8')
    else:
        config = json.dumps(tiny_clip_config(tower), indent=2) + '\n'
    (out / 'open_clip_config.json').write_text(config, encoding='utf-8')
    path = out / 'open_clip_model.safetensors'
    statistics = {name for name, _ in model.named_buffers()}
    weights = {
        name: (value if name in statistics else value.half()).contiguous()
        for name, value in model.state_dict().items()
    }
    with atomic_write(path) as part:
        part.write_bytes(save(weights, {'format': 'pt'}))
    return path


def load_tiny_clip(folder: Path = TINY_CLIP) -> nn.Module:
    """Load an exported model with open_clip, in eval mode."""
    from open_clip import create_model_and_transforms

    return create_model_and_transforms(f'local-dir:{folder}')[0].eval()
