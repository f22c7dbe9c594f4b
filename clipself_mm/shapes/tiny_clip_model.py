"""The tiny CLIP as an open_clip model: built, written, read, and the pixels it expects."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

TINY_CLIP = Path(__file__).parent / 'tiny_clip'
"""The folder that ships with the package, for open_clip's ``local-dir:``."""


def build_tiny_clip(seed: int) -> nn.Module:
    """Builds the untrained model from the shipped open_clip config."""
    from open_clip import CLIP

    config = json.loads((TINY_CLIP / 'open_clip_config.json').read_text(encoding='utf-8'))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return CLIP(**config['model_cfg'])


def normalise_pixels(images: np.ndarray) -> Tensor:
    """Brings uint8 images (N, H, W, 3) to CLIP's input (N, 3, H, W)."""
    config = json.loads((TINY_CLIP / 'open_clip_config.json').read_text(encoding='utf-8'))
    mean, std = (torch.tensor(config['preprocess_cfg'][key]) for key in ('mean', 'std'))
    pixels = torch.from_numpy(images).float() / 255
    return ((pixels - mean) / std).permute(0, 3, 1, 2).contiguous()


def export_tiny_clip(model: nn.Module, out: Path) -> Path:
    """Writes half-precision weights and the config as a folder for open_clip's ``local-dir:``.

    Args:
        model: Trained model.
        out: Folder to write to.

    Returns:
        The weight file, which appears whole or not at all.
    """
    from safetensors.torch import save_file

    out.mkdir(parents=True, exist_ok=True)
    config = (TINY_CLIP / 'open_clip_config.json').read_text(encoding='utf-8')
    (out / 'open_clip_config.json').write_text(config, encoding='utf-8')
    path = out / 'open_clip_model.safetensors'
    weights = {name: value.half().contiguous() for name, value in model.state_dict().items()}
    save_file(weights, f'{path}.part', metadata={'format': 'pt'})
    os.chmod(f'{path}.part', 0o644)
    os.replace(f'{path}.part', path)
    return path


def load_tiny_clip(folder: Path = TINY_CLIP) -> nn.Module:
    """Loads an exported model through open_clip, in eval mode."""
    from open_clip import create_model_and_transforms

    return create_model_and_transforms(f'local-dir:{folder}')[0].eval()
