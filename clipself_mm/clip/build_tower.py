"""Build a ``VisionTower`` from a model name and a weights file, for configs and tools."""

import logging
from collections.abc import Callable

from mmengine.registry import MODELS
from open_clip.model import _build_vision_tower
from open_clip.modified_resnet import ModifiedResNet
from open_clip.timm_model import TimmModel
from open_clip.transformer import VisionTransformer
from timm.models.eva import Eva
from timm.models.vision_transformer import VisionTransformer as TimmVisionTransformer
from torch import nn

from .activation import check_activation
from .clip_resnet import CLIPResNet
from .eva02_vit import EVA02ViT
from .openclip_vit import OpenCLIPViT
from .self_correlation import SELF_CORRELATIONS, LastBlock
from .timm_vit import TimmViT
from .vision_tower import VisionTower
from .vit_tower import ViTTower
from .weights.checkpoints import Checkpoint, load_visual, read_checkpoint
from .weights.tower_source import TowerSource, find_source, invalid_config

Adapter = Callable[..., VisionTower]
_ADAPTERS: dict[type, Adapter] = {VisionTransformer: OpenCLIPViT, ModifiedResNet: CLIPResNet}
_TIMM_ADAPTERS: dict[type, Adapter] = {Eva: EVA02ViT, TimmVisionTransformer: TimmViT}


@MODELS.register_module(name='CLIPTower')
def build_tower(
    model: str,
    checkpoint: str | None = None,
    activation_checkpointing: bool = False,
    last_block: LastBlock = 'value',
    compile_blocks: bool = False,
) -> VisionTower:
    """Build a CLIP image tower without its text tower.

    Args:
        model: Name or folder, see ``find_source``.
        checkpoint: Weights in any layout that ``read_state`` reads. Randomly initialised if None
            (logs a warning), unless ``model`` is a folder that contains weights.
        activation_checkpointing: Whether training recomputes activations block by block.
        last_block: How the last block computes dense features: ``value`` (CLIPSelf's value path),
            DeCLIP's ``qq`` or ``csa``, or ``values-K``, the sum over the last K blocks (see
            ``ViTTower``). Weights files do not store it: give the value of the distillation in
            detectors too.
        compile_blocks: Whether blocks run through ``torch.compile`` (see ``ViTTower``).

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: The name or ``last_block`` is unknown, or the checkpoint does not match the
            architecture.
        NotImplementedError: The architecture is not supported, has no blocks to recompute or to
            compile, or does not support ``last_block``.
    """
    source = find_source(model, checkpoint)
    tower = tower_of(source)
    if isinstance(tower, ViTTower):
        tower.activation_checkpointing = activation_checkpointing
        tower.compile_blocks = compile_blocks
    elif activation_checkpointing or compile_blocks:
        work = 'recompute' if activation_checkpointing else 'compile'
        raise NotImplementedError(f'{model}: {type(tower).__name__} has no blocks to {work}')
    set_last_block(tower, last_block)
    if source.checkpoint is None:
        logging.getLogger(__name__).warning('%s is built with random weights', model)
    else:
        load_tower(tower, source, read_checkpoint(source.checkpoint))
    return tower


def set_last_block(tower: VisionTower, mode: LastBlock) -> None:
    """Set how the last block computes dense features.

    Args:
        tower: Any tower, before ``unlock_blocks``.
        mode: See ``ViTTower``; every tower supports ``value``.
    """
    if isinstance(tower, ViTTower) and tower.pools_class_token:
        count = len(tower.blocks)
        named = ('value', *SELF_CORRELATIONS)
        if mode not in (*named, *(f'values-{k}' for k in range(1, count + 1))):
            raise ValueError(
                f'last_block must be one of {", ".join(named)}, or values-K with K from 1 to '
                f'{count}, the number of blocks; got {mode!r}'
            )
        tower.last_block = mode
    elif mode != 'value':
        raise NotImplementedError(
            f'last_block={mode!r} needs a ViT that pools by a class token; this '
            f"{type(tower).__name__} does not: only 'value' is possible"
        )


def tower_of(source: TowerSource) -> VisionTower:
    """Build the image tower of a source without loading its weights."""
    with invalid_config(source.config_name):
        visual = _build_vision_tower(
            source.config['embed_dim'],
            # The weights come from the checkpoint: do not download timm's.
            dict(source.config['vision_cfg'], timm_model_pretrained=False),
            source.quick_gelu,
        )
    try:
        tower = find_adapter(visual)(
            visual, mean=source.preprocess['mean'], std=source.preprocess['std']
        )
    except NotImplementedError as error:
        raise NotImplementedError(f'{source.model}: {error}') from error
    tower.source = source
    return tower


def load_tower(tower: VisionTower, source: TowerSource, checkpoint: Checkpoint) -> None:
    """Load the weights of the image tower.

    Args:
        tower: From ``tower_of``.
        source: What the tower was built from.
        checkpoint: Content of the source's weights file.
    """
    file = source.require_checkpoint()
    check_activation(checkpoint, source, file)
    load_visual(tower, checkpoint.state, file)


def find_adapter(visual: nn.Module) -> Adapter:
    """The adapter class for an image tower of open_clip.

    Args:
        visual: open_clip's ``VisionTransformer``, ``ModifiedResNet`` or ``TimmModel``.
    """
    if isinstance(visual, TimmModel):
        kind, adapters = type(visual.trunk), _TIMM_ADAPTERS
    else:
        kind, adapters = type(visual), _ADAPTERS
    if kind not in adapters:
        raise NotImplementedError(
            f'no adapter for a {kind.__name__}; docs/towers.md lists what is supported and how '
            'to add one'
        )
    return adapters[kind]
