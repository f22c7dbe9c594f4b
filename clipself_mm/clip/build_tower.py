"""From a model name and a file to a ``VisionTower``: the one way in for configs and tools."""

import logging

from mmengine.registry import MODELS
from open_clip.model import _build_vision_tower
from open_clip.modified_resnet import ModifiedResNet
from open_clip.timm_model import TimmModel
from open_clip.transformer import VisionTransformer
from timm.models.eva import Eva
from timm.models.vision_transformer import VisionTransformer as TimmVisionTransformer
from torch import nn

from .checkpoints import Checkpoint, load_visual, read_checkpoint
from .clip_resnet import CLIPResNet
from .eva02_vit import EVA02ViT
from .openclip_vit import OpenCLIPViT
from .timm_vit import TimmViT
from .tower_source import TowerSource, find_source
from .vision_tower import VisionTower
from .vit_tower import ViTTower

_ADAPTERS = {VisionTransformer: OpenCLIPViT, ModifiedResNet: CLIPResNet}
_TIMM_ADAPTERS = {Eva: EVA02ViT, TimmVisionTransformer: TimmViT}


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
        NotImplementedError: The architecture has no dense path here, or no blocks to recompute.
    """
    source = find_source(model, checkpoint)
    tower = tower_of(source)
    if isinstance(tower, ViTTower):
        tower.activation_checkpointing = activation_checkpointing
    elif activation_checkpointing:
        raise NotImplementedError(f'{model}: {type(tower).__name__} has no blocks to recompute')
    if source.checkpoint is None:
        logging.getLogger(__name__).warning('%s is built with random weights', model)
    else:
        load_tower(tower, read_checkpoint(source.checkpoint))
    return tower


def tower_of(source: TowerSource) -> VisionTower:
    """Build the image tower of a source, its weights not loaded.

    Raises:
        NotImplementedError: The architecture has no dense path here.
    """
    visual = _build_vision_tower(
        source.config['embed_dim'],
        dict(source.config['vision_cfg']),
        source.config.get('quick_gelu', False),
    )
    try:
        tower = find_adapter(visual)(
            visual, mean=source.preprocess['mean'], std=source.preprocess['std']
        )
    except NotImplementedError as error:
        raise NotImplementedError(f'{source.model}: {error}') from error
    tower.source = source
    return tower


def load_tower(tower: VisionTower, checkpoint: Checkpoint) -> None:
    """Load the image tower's part of a checkpoint.

    Args:
        tower: Of ``tower_of``.
        checkpoint: What the file of the tower's source holds.

    Raises:
        ValueError: The checkpoint is another architecture's, or OpenAI's and the model has another
            activation than OpenAI's.
    """
    source = tower.source
    if checkpoint.layout.naming == 'OpenAI' and not source.config.get('quick_gelu', False):
        raise ValueError(
            f"{source.checkpoint}: OpenAI's weights were trained with QuickGELU, which "
            f'{source.model} does not have: name the model "{source.model}-quickgelu"'
        )
    load_visual(tower, checkpoint.state, source.checkpoint)


def find_adapter(visual: nn.Module) -> type[VisionTower]:
    """The class that serves one of open_clip's image towers.

    Args:
        visual: open_clip's ``VisionTransformer``, ``ModifiedResNet`` or ``TimmModel``.

    Raises:
        NotImplementedError: There is none; the message names the architecture.
    """
    if isinstance(visual, TimmModel):
        kind, adapters = type(visual.trunk), _TIMM_ADAPTERS
    else:
        kind, adapters = type(visual), _ADAPTERS
    if kind not in adapters:
        raise NotImplementedError(
            f'no adapter for a {kind.__name__}; docs/towers.md says what is supported and how '
            'to add one'
        )
    return adapters[kind]
