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

from .clip_resnet import CLIPResNet
from .eva02_vit import EVA02ViT
from .openclip_vit import OpenCLIPViT
from .self_correlation import LAST_BLOCKS, LastBlock
from .timm_vit import TimmViT
from .vision_tower import VisionTower
from .vit_tower import ViTTower
from .weights.checkpoints import Checkpoint, check_activation, load_visual, read_checkpoint
from .weights.tower_source import TowerSource, find_source

_ADAPTERS = {VisionTransformer: OpenCLIPViT, ModifiedResNet: CLIPResNet}
_TIMM_ADAPTERS = {Eva: EVA02ViT, TimmVisionTransformer: TimmViT}


@MODELS.register_module(name='CLIPTower')
def build_tower(
    model: str,
    checkpoint: str | None = None,
    activation_checkpointing: bool = False,
    last_block: LastBlock = 'value',
) -> VisionTower:
    """Build a CLIP image tower; its text tower is never built.

    Args:
        model: Name or folder, see ``find_source``.
        checkpoint: Weights in any layout that ``read_state`` knows. Without one a named model has
            random weights, which is said in the log; a folder brings its own.
        activation_checkpointing: Whether training recomputes activations block by block.
        last_block: How dense features leave the last block: ``value``, CLIPSelf's value path, or
            DeCLIP's ``qq`` or ``csa`` (see ``ViTTower``). No file keeps it: give what the weights
            were refined with, in detectors too.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: The name or ``last_block`` is unknown, or the checkpoint is another
            architecture's.
        NotImplementedError: The architecture has no dense path here, no blocks to recompute, or
            another last block than ``last_block`` is made for.
    """
    source = find_source(model, checkpoint)
    tower = tower_of(source)
    if isinstance(tower, ViTTower):
        tower.activation_checkpointing = activation_checkpointing
    elif activation_checkpointing:
        raise NotImplementedError(f'{model}: {type(tower).__name__} has no blocks to recompute')
    set_last_block(tower, last_block)
    if source.checkpoint is None:
        logging.getLogger(__name__).warning('%s is built with random weights', model)
    else:
        load_tower(tower, read_checkpoint(source.checkpoint))
    return tower


def set_last_block(tower: VisionTower, mode: LastBlock) -> None:
    """Choose how a tower's dense features leave its last block.

    Args:
        tower: Of any kind; nothing of it is unlocked yet.
        mode: One of ``LAST_BLOCKS``; every tower takes ``value``.

    Raises:
        ValueError: The mode is unknown.
        NotImplementedError: The tower does not pool by a class token.
    """
    if mode not in LAST_BLOCKS:
        raise ValueError(f'last_block is one of {", ".join(LAST_BLOCKS)}, got {mode!r}')
    if isinstance(tower, ViTTower) and tower.pools_class_token:
        tower.last_block = mode
    elif mode != 'value':
        raise NotImplementedError(
            f'last_block={mode!r} is for ViTs that pool by a class token, which this '
            f'{type(tower).__name__} does not'
        )


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
    check_activation(checkpoint, source, source.checkpoint)
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
            f'no adapter for a {kind.__name__}; docs/towers.md says what is supported '
            'and how to add one'
        )
    return adapters[kind]
