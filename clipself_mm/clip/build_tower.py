"""From a model name and a file to a ``VisionTower``: the one way in for configs and tools."""

import logging

from mmengine.registry import MODELS
from open_clip.model import _build_vision_tower
from open_clip.timm_model import TimmModel
from open_clip.transformer import VisionTransformer

from .checkpoints import load_visual, read_state
from .eva02_vit import EVA02ViT
from .openclip_vit import OpenCLIPViT
from .tower_source import find_source
from .vision_tower import VisionTower

_ADAPTERS = {VisionTransformer: OpenCLIPViT, TimmModel: EVA02ViT}


@MODELS.register_module(name='CLIPTower')
def build_tower(
    model: str, checkpoint: str | None = None, activation_checkpointing: bool = False
) -> VisionTower:
    """Build a CLIP image tower; its text tower is never built.

    Args:
        model: Name or folder, see ``find_source``.
        checkpoint: Weights in any layout that ``read_state`` knows. Without one a named model has
            random weights, which is said in the log; a folder brings its own.
        activation_checkpointing: Whether training recomputes activations block by block.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: The name is unknown or the checkpoint is another architecture's.
        NotImplementedError: The architecture has no dense path here.
    """
    source = find_source(model, checkpoint)
    visual = _build_vision_tower(
        source.config['embed_dim'],
        dict(source.config['vision_cfg']),
        source.config.get('quick_gelu', False),
    )
    if type(visual) not in _ADAPTERS:
        raise NotImplementedError(f'{model}: no adapter for a {type(visual).__name__} tower')
    tower = _ADAPTERS[type(visual)](
        visual, mean=source.preprocess['mean'], std=source.preprocess['std']
    )
    tower.source = source
    tower.activation_checkpointing = activation_checkpointing
    if source.checkpoint is None:
        logging.getLogger(__name__).warning('%s is built with random weights', model)
    else:
        load_visual(tower, read_state(source.checkpoint), source.checkpoint)
    return tower
