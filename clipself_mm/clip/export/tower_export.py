"""Writes towers: a folder for open_clip, a file for the authors' code, a folder for transformers.

Every target takes the whole CLIP, so an image tower is put beside the text tower it was made with.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from open_clip.model import _build_vision_tower
from safetensors.torch import save
from torch import Tensor

from clipself_mm.io.atomic_write import atomic_write

from ..text_tower import bare_text_tower
from ..weights.checkpoints import read_state, state_dict_mismatch
from ..weights.eva_names import SPLIT, to_original
from ..weights.hugging_face_config import config_to_hugging_face
from ..weights.hugging_face_names import to_hugging_face
from ..weights.tower_source import (
    CONFIG_NAME,
    HF_CONFIG_NAME,
    HF_PREPROCESS_NAME,
    HF_WEIGHTS_NAME,
    TOKENIZER_NAMES,
    WEIGHTS_NAME,
    TowerSource,
)

State = dict[str, Tensor]


def export_tower(
    visual_state: Mapping[str, Tensor],
    source: TowerSource,
    folder: Path,
    origin: Mapping[str, str | float] | None = None,
) -> Path:
    """Write a refined image tower with the text tower and logit scale of its source.

    The folder loads with ``open_clip.create_model('local-dir:FOLDER')``, the file inside with
    ``open_clip.create_model(NAME, pretrained=FILE)``. It appears complete or not at all.

    Args:
        visual_state: Keys ``visual.*`` of the refined tower.
        source: What the tower was built from.
        folder: Where to write; replaced if it exists.
        origin: What the tower was made of, kept under ``origin`` in its configuration.

    Returns:
        The weights file inside ``folder``.

    Raises:
        ValueError: The source has no checkpoint, or the tower is not of the source's architecture.
    """
    return write_open_clip(exportable_state(visual_state, source), source, folder, origin)


def exportable_state(visual_state: Mapping[str, Tensor], source: TowerSource) -> State:
    """The source's full state with its image tower replaced, each tensor with memory of its own.

    Args:
        visual_state: Keys ``visual.*`` of the refined tower.
        source: What the tower was built from.

    Raises:
        ValueError: The source has no checkpoint, or the tower is not of the source's architecture.
    """
    if source.checkpoint is None:
        raise ValueError(
            f'cannot export a tower of {source.model} without the checkpoint that supplies its '
            'text tower'
        )
    state = read_state(source.checkpoint)
    expected = {key for key in state if key.startswith('visual.')}
    if expected != set(visual_state):
        raise ValueError(
            f'the tower to export differs from {source.checkpoint} in '
            f'{sorted(expected ^ set(visual_state))[:5]}'
        )
    state.update(visual_state)
    return _owned(state)


def write_open_clip(
    state: Mapping[str, Tensor],
    source: TowerSource,
    folder: Path,
    origin: Mapping[str, str | float] | None = None,
) -> Path:
    """Write a CLIP as a folder of open_clip's; result as in ``export_tower``.

    A tokenizer of Hugging Face's that lies in the source's folder goes with it.

    Args:
        state: Canonical state of both towers.
        source: Its configuration.
        folder: Where to write; replaced if it exists.
        origin: Kept under ``origin`` in the configuration.
    """
    content = {
        'model_cfg': source.config,
        'preprocess_cfg': source.preprocess,
        'origin': dict(origin or {}),
    }

    def write(unfinished: Path) -> None:
        for file in _tokenizer_files(source):
            shutil.copyfile(file, unfinished / file.name)
        (unfinished / CONFIG_NAME).write_text(json.dumps(content, indent=2))
        (unfinished / WEIGHTS_NAME).write_bytes(save(_owned(state)))

    _replace_folder(folder, write)
    return folder / WEIGHTS_NAME


def write_hugging_face(state: Mapping[str, Tensor], source: TowerSource, folder: Path) -> Path:
    """Write a CLIP as ``transformers.CLIPModel.from_pretrained(FOLDER)`` reads it.

    Args:
        state: Canonical state of both towers.
        source: Its configuration.
        folder: Where to write; replaced if it exists.

    Returns:
        The weights file inside ``folder``.

    Raises:
        ValueError: The architecture does not exist in transformers' CLIP; nothing is written.
    """
    config = config_to_hugging_face(source.config)
    renamed = to_hugging_face(state)
    side = config['vision_config']['image_size']
    preprocess = {
        'image_processor_type': 'CLIPImageProcessor',
        'image_mean': list(source.preprocess['mean']),
        'image_std': list(source.preprocess['std']),
        'size': {'shortest_edge': side},
        'crop_size': {'height': side, 'width': side},
        'resample': 3,
    }

    def write(unfinished: Path) -> None:
        (unfinished / HF_CONFIG_NAME).write_text(json.dumps(config, indent=2))
        (unfinished / HF_PREPROCESS_NAME).write_text(json.dumps(preprocess, indent=2))
        (unfinished / HF_WEIGHTS_NAME).write_bytes(save(_owned(renamed), {'format': 'pt'}))

    _replace_folder(folder, write)
    return folder / HF_WEIGHTS_NAME


def write_authors(state: Mapping[str, Tensor], source: TowerSource, file: Path) -> Path:
    """Write a CLIP as the authors' CLIPSelf release saves one: ``{'state_dict': ...}``.

    An EVA-02 gets EVA-CLIP's original names and the rotary tables that code keeps in its files; the
    names of OpenAI-style ViTs are open_clip's there too.

    Args:
        state: Canonical state of both towers.
        source: Its configuration.
        file: ``.pt`` file to write; replaced when the new one is complete.

    Returns:
        ``file``.

    Raises:
        ValueError: The architecture is neither of the two; nothing is written.
    """
    if SPLIT in state:
        state = to_original(state, _head_dim(source))
    elif 'visual.class_embedding' not in state:
        raise ValueError(
            "the authors' code has OpenAI-style ViTs and EVA-02 with separate queries and keys, "
            f'not the image tower of {source.model}'
        )
    with atomic_write(file) as part, part.open('wb') as stream:
        torch.save({'state_dict': _owned(state)}, stream)
    return file


def check_complete(state: Mapping[str, Tensor], source: TowerSource, origin: str) -> None:
    """Make sure that a state is the whole CLIP that its configuration describes.

    Args:
        state: Canonical state.
        source: The configuration.
        origin: File the state came from, for the error.

    Raises:
        ValueError: Tensors of the towers or the logit scale are missing, left over or of another
            shape.
    """
    config = source.config
    with torch.device('meta'):
        visual = _build_vision_tower(config['embed_dim'], dict(config['vision_cfg']))
        text = bare_text_tower(config)
        scale = torch.empty([1] if config.get('nonscalar_logit_scale') else [])
    nested = 'text.' if any(key.startswith('text.') for key in state) else ''
    expected = {f'visual.{key}': value for key, value in visual.state_dict().items()}
    expected |= {f'{nested}{key}': value for key, value in text.state_dict().items()}
    expected |= {'logit_scale': scale}
    if config.get('init_logit_bias') is not None:
        expected |= {'logit_bias': scale}
    problems = state_dict_mismatch(expected, state)
    if not any(key.startswith(('text.', 'token_embedding.')) for key in state):
        problems = ['there is no text tower; name the file that has it with --text-from']
    if problems:
        listed = '\n  '.join(problems)
        raise ValueError(f'{origin}: is not the whole CLIP {source.model}:\n  {listed}')


def _tokenizer_files(source: TowerSource) -> list[Path]:
    folder = Path(source.model.removeprefix('local-dir:'))
    if 'hf_tokenizer_name' not in source.config['text_cfg']:
        return []
    return [folder / name for name in TOKENIZER_NAMES if (folder / name).is_file()]


def _head_dim(source: TowerSource) -> int:
    with torch.device('meta'):
        visual = _build_vision_tower(source.config['embed_dim'], dict(source.config['vision_cfg']))
    return visual.trunk.blocks[0].attn.head_dim


def _owned(state: Mapping[str, Tensor]) -> State:
    """Tensors on the CPU with memory of their own, as files need them."""
    return {key: value.detach().cpu().contiguous().clone() for key, value in state.items()}


def _replace_folder(folder: Path, write: Callable[[Path], None]) -> None:
    """Let a function fill a folder that appears complete or not at all."""
    unfinished = folder.with_name(f'.{folder.name}.unfinished')
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    write(unfinished)
    outdated = folder.with_name(f'.{folder.name}.outdated')
    shutil.rmtree(outdated, ignore_errors=True)
    if folder.exists():
        os.replace(folder, outdated)
    os.replace(unfinished, folder)
    shutil.rmtree(outdated, ignore_errors=True)
