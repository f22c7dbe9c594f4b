"""Export CLIPs: open_clip folder, file for the official implementation, transformers folder.

Every target holds the full CLIP, so a distilled image tower is exported with the text tower of its
source.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import torch
from open_clip.model import _build_vision_tower
from safetensors.torch import save
from torch import Tensor

from clipself_mm.io.atomic_write import atomic_write, raise_if_full

from ..text_tower import bare_text_tower
from ..weights.activation_record import RECORD, header_record
from ..weights.checkpoints import check_finite, read_state, state_dict_mismatch
from ..weights.eva_names import SEPARATE_KEY, to_original
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
from .model_card import CARD_NAME, Measured, ModelCard, tower_card, write_card

State = dict[str, Tensor]


def export_tower(
    visual_state: Mapping[str, Tensor],
    source: TowerSource,
    folder: Path,
    origin: Mapping[str, str | float] | None = None,
    facts: Mapping[str, object] | None = None,
    measured: Measured | None = None,
) -> Path:
    """Write a distilled image tower with the text tower and logit scale of its source.

    The folder loads with ``open_clip.create_model('local-dir:FOLDER')``, the file inside with
    ``open_clip.create_model(NAME, pretrained=FILE)``. The folder is written atomically.

    Args:
        visual_state: Keys ``visual.*`` of the distilled tower.
        source: What the tower was built from.
        folder: Output folder; replaced if it exists.
        origin: Metadata, stored under ``origin`` in the configuration.
        facts: Rows of the card's table.
        measured: Metrics of these weights, for the card.

    Returns:
        The weights file inside ``folder``.

    Raises:
        ValueError: As in ``check_exportable``, or a weight is not finite.
    """
    state = exportable_state(visual_state, source)
    return write_open_clip(state, source, folder, origin, facts, measured)


def check_exportable(visual_keys: Iterable[str], source: TowerSource) -> None:
    """Check that a tower can be exported, by its keys.

    Args:
        visual_keys: Keys ``visual.*`` of the tower.
        source: What the tower was built from.

    Raises:
        ValueError: The source has no checkpoint, or other keys.
    """
    _source_state(visual_keys, source)


def exportable_state(visual_state: Mapping[str, Tensor], source: TowerSource) -> State:
    """Copy of the full state of the source, with another image tower.

    Args:
        visual_state: Keys ``visual.*`` of the distilled tower.
        source: What the tower was built from.
    """
    return _copied({**_source_state(visual_state, source), **visual_state})


def write_open_clip(
    state: Mapping[str, Tensor],
    source: TowerSource,
    folder: Path,
    origin: Mapping[str, str | float] | None = None,
    facts: Mapping[str, object] | None = None,
    measured: Measured | None = None,
) -> Path:
    """Write a CLIP as a folder of open_clip, as in ``export_tower``.

    A Hugging Face tokenizer in the source's folder is copied. A card (`model_card.py`) is added;
    one that was edited by hand stays.

    Args:
        state: Canonical state of both towers.
        source: Source with the configuration.
        folder: Output folder; replaced if it exists.
        origin: Metadata, stored under ``origin`` in the configuration.
        facts: Rows of the card's table.
        measured: Metrics of these weights, for the card.
    """
    check_finite(state, str(folder))
    content = {
        'model_cfg': source.config,
        'preprocess_cfg': source.preprocess,
        'origin': dict(origin or {}),
    }

    def write(unfinished: Path) -> None:
        for file in _tokenizer_files(source):
            shutil.copyfile(file, unfinished / file.name)
        (unfinished / CONFIG_NAME).write_text(json.dumps(content, indent=2))
        (unfinished / WEIGHTS_NAME).write_bytes(
            safetensors_bytes(state, header_record(source.quick_gelu))
        )

    replace_folder(folder, write, tower_card(source, folder, facts, measured))
    return folder / WEIGHTS_NAME


def write_hugging_face(state: Mapping[str, Tensor], source: TowerSource, folder: Path) -> Path:
    """Write a CLIP as a folder for ``transformers.CLIPModel.from_pretrained(FOLDER)``.

    Args:
        state: Canonical state of both towers.
        source: Source with the configuration.
        folder: Output folder; replaced if it exists.

    Returns:
        The weights file inside ``folder``.

    Raises:
        ValueError: transformers' CLIP does not support the architecture.
    """
    check_finite(state, str(folder))
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
        (unfinished / HF_WEIGHTS_NAME).write_bytes(
            safetensors_bytes(renamed, header_record(source.quick_gelu))
        )

    replace_folder(folder, write, tower_card(source, folder, transformers=True))
    return folder / HF_WEIGHTS_NAME


def write_authors(state: Mapping[str, Tensor], source: TowerSource, file: Path) -> Path:
    """Write a CLIP as the official implementation of CLIPSelf: ``{'state_dict': ...}``.

    Beside the state dict lies the record of the activation, which their loaders ignore.
    An EVA-02 gets EVA-CLIP's keys and its RoPE tables; OpenAI-style ViTs keep open_clip's keys.

    Args:
        state: Canonical state of both towers.
        source: Source with the configuration.
        file: Output ``.pt`` file (written atomically).

    Returns:
        ``file``.

    Raises:
        ValueError: The architecture is neither of the two.
    """
    check_finite(state, str(file))
    if SEPARATE_KEY in state:
        state = to_original(state, _head_dim(source))
    elif 'visual.class_embedding' not in state:
        raise ValueError(
            'the official implementation has OpenAI-style ViTs and EVA-02 with separate queries '
            f'and keys, not the image tower of {source.model}'
        )
    with atomic_write(file) as part, part.open('wb') as stream:
        torch.save({'state_dict': _copied(state), RECORD: source.quick_gelu}, stream)
    return file


def check_complete(state: Mapping[str, Tensor], source: TowerSource, origin: str) -> None:
    """Check that a state is the full CLIP of its configuration.

    Args:
        state: Canonical state.
        source: Source with the configuration.
        origin: File of the state, for the error.
    """
    config = source.config
    with torch.device('meta'):
        visual = _build_vision_tower(config['embed_dim'], dict(config['vision_cfg']))
        text = bare_text_tower(config)
        scale = torch.empty([1] if config.get('nonscalar_logit_scale') else [])
    prefix = 'text.' if any(key.startswith('text.') for key in state) else ''
    expected = {f'visual.{key}': value for key, value in visual.state_dict().items()}
    expected |= {f'{prefix}{key}': value for key, value in text.state_dict().items()}
    expected |= {'logit_scale': scale}
    if config.get('init_logit_bias') is not None:
        expected |= {'logit_bias': scale}
    problems = state_dict_mismatch(expected, state)
    if not any(key.startswith(('text.', 'token_embedding.')) for key in state):
        problems = ['no text tower; give a file that has one with --text-from']
    if problems:
        listed = '\n  '.join(problems)
        raise ValueError(f'{origin}: is not a full {source.model} CLIP:\n  {listed}')


def _source_state(visual_keys: Iterable[str], source: TowerSource) -> State:
    """The full state of a source whose image tower has the given keys."""
    file = source.require_checkpoint()
    state = read_state(file)
    differing = {key for key in state if key.startswith('visual.')} ^ set(visual_keys)
    if differing:
        raise ValueError(f'the tower to export differs from {file} in {sorted(differing)[:5]}')
    return state


def _tokenizer_files(source: TowerSource) -> list[Path]:
    folder = Path(source.model.removeprefix('local-dir:'))
    if 'hf_tokenizer_name' not in source.config['text_cfg']:
        return []
    return [folder / name for name in TOKENIZER_NAMES if (folder / name).is_file()]


def _head_dim(source: TowerSource) -> int:
    with torch.device('meta'):
        visual = _build_vision_tower(source.config['embed_dim'], dict(source.config['vision_cfg']))
    return visual.trunk.blocks[0].attn.head_dim


def _copied(state: Mapping[str, Tensor]) -> State:
    """Copies on the CPU that share no memory, as safetensors requires."""
    return {key: value.detach().cpu().contiguous().clone() for key, value in state.items()}


def safetensors_bytes(state: Mapping[str, Tensor], metadata: Mapping[str, str]) -> bytes:
    """A file of safetensors; equal for equal tensors.

    safetensors itself writes several entries of a header in random order.

    Args:
        state: Tensors.
        metadata: Entries of the header.
    """
    content = save(_copied(state))
    size = int.from_bytes(content[:8], 'little')
    metadata = {'format': 'pt', **metadata}  # transformers needs `format`
    header = json.dumps({'__metadata__': metadata, **json.loads(content[8 : 8 + size])}).encode()
    header += b' ' * (-len(header) % 8)
    return len(header).to_bytes(8, 'little') + header + content[8 + size :]


def replace_folder(folder: Path, write: Callable[[Path], None], card: ModelCard) -> None:
    """Replace a folder atomically.

    Args:
        folder: The folder; a card in it that was edited by hand stays.
        write: Fills a temporary folder, which is then renamed.
        card: The card that is added.
    """
    unfinished = folder.with_name(f'.{folder.name}.unfinished')
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    try:
        write(unfinished)
        write_card(card, unfinished / CARD_NAME, folder / CARD_NAME)
        _swap(unfinished, folder)
    except Exception as error:
        raise_if_full(error, folder, unfinished.glob('*'))
        raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _swap(unfinished: Path, folder: Path) -> None:
    outdated = folder.with_name(f'.{folder.name}.outdated')
    shutil.rmtree(outdated, ignore_errors=True)
    if folder.exists():
        os.replace(folder, outdated)
    os.replace(unfinished, folder)
    shutil.rmtree(outdated, ignore_errors=True)
