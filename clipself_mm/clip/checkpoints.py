"""CLIP weights on disk: read any known layout into open_clip's names, and write tower files.

A state dict is canonical when its keys are those of open_clip's full model: ``visual.*``, the text
tower's and ``logit_scale``. No pickled code is ever run.
"""

import json
import os
import pickle
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from .tower_source import CONFIG_NAME, WEIGHTS_NAME, TowerSource

State = dict[str, Tensor]

_WRAPPERS = ('state_dict', 'model', 'module')
_ROTARY_TABLE = re.compile(r'(^|\.)rope\.freqs_(cos|sin)$')
_EVA_NAMES = (
    (r'\.attn\.q_bias$', '.attn.q_proj.bias'),
    (r'\.attn\.v_bias$', '.attn.v_proj.bias'),
    (r'\.attn\.inner_attn_ln\.', '.attn.norm.'),
    (r'\.mlp\.w1\.', '.mlp.fc1_g.'),
    (r'\.mlp\.w2\.', '.mlp.fc1_x.'),
    (r'\.mlp\.w3\.', '.mlp.fc2.'),
    (r'\.mlp\.ffn_ln\.', '.mlp.norm.'),
)


def read_state(path: str | Path) -> State:
    """Read a CLIP checkpoint and give its tensors open_clip's names.

    Understood are safetensors and ``torch.save`` files, bare or wrapped (``state_dict``, ``model``,
    ``module``), with or without a ``module.`` prefix, in open_clip's or EVA-CLIP's original naming.

    Args:
        path: The file.

    Returns:
        Canonical names to tensors, on the CPU.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is truncated, holds more than tensors, or is no CLIP.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'{path}: no such file; expected a CLIP checkpoint')
    state = _unwrap(_load_tensors(path))
    if not any(key.startswith('visual.') for key in state):
        some = ', '.join(sorted(state)[:3]) or 'nothing'
        raise ValueError(f'{path}: expected a CLIP with keys "visual.*", found {some}, ...')
    return canonical_names(state)


def canonical_names(state: Mapping[str, Tensor]) -> State:
    """Rename EVA-CLIP's original image tower keys to open_clip's; other layouts pass unchanged.

    The rotary tables, which every tower rebuilds for its input, are dropped.
    """
    state = {key: value for key, value in state.items() if not _ROTARY_TABLE.search(key)}
    if 'visual.patch_embed.proj.weight' not in state:
        return state
    return {_from_eva(key): value for key, value in state.items()}


def load_visual(module: nn.Module, state: Mapping[str, Tensor], origin: str) -> None:
    """Load the image tower's part of a canonical state into a module whose keys are ``visual.*``.

    Args:
        module: A ``VisionTower``.
        state: Canonical state; keys of the text tower are ignored.
        origin: File the state came from, for the error.

    Raises:
        ValueError: Keys are missing or left over, or a shape differs; all are listed.
    """
    _load_exactly(module, {k: v for k, v in state.items() if k.startswith('visual.')}, origin)


def load_text(module: nn.Module, state: Mapping[str, Tensor], origin: str) -> None:
    """Load the text tower's part of a canonical state, nested under ``text.`` or not.

    Args:
        module: open_clip's text tower.
        state: Canonical state; keys of the image tower are ignored.
        origin: File the state came from, for the error.

    Raises:
        ValueError: Keys are missing or left over, or a shape differs; all are listed.
    """
    rest = {k: v for k, v in state.items() if not k.startswith(('visual.', 'logit_'))}
    _load_exactly(module, {k.removeprefix('text.'): v for k, v in rest.items()}, origin)


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
    state = exportable_state(visual_state, source)
    unfinished = folder.with_name(f'.{folder.name}.unfinished')
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    content = {
        'model_cfg': source.config,
        'preprocess_cfg': source.preprocess,
        'origin': dict(origin or {}),
    }
    (unfinished / CONFIG_NAME).write_text(json.dumps(content, indent=2))
    save_file(state, unfinished / WEIGHTS_NAME)
    outdated = folder.with_name(f'.{folder.name}.outdated')
    shutil.rmtree(outdated, ignore_errors=True)
    if folder.exists():
        os.replace(folder, outdated)
    os.replace(unfinished, folder)
    shutil.rmtree(outdated, ignore_errors=True)
    return folder / WEIGHTS_NAME


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
    return {key: value.detach().cpu().contiguous().clone() for key, value in state.items()}


def _load_tensors(path: Path) -> Mapping:
    try:
        if path.suffix == '.safetensors':
            return load_file(path)
        return torch.load(path, map_location='cpu', weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f'{path}: expected nothing but tensors; the file is broken or holds pickled objects, '
            'which are not run'
        ) from error
    except (SafetensorError, RuntimeError, EOFError, OSError) as error:
        raise ValueError(f'{path}: not a complete checkpoint file: {error}') from error


def _unwrap(content: Mapping) -> State:
    for wrapper in _WRAPPERS:
        if isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    state = {key: value for key, value in content.items() if isinstance(value, Tensor)}
    if state and all(key.startswith('module.') for key in state):
        state = {key.removeprefix('module.'): value for key, value in state.items()}
    return state


def _from_eva(key: str) -> str:
    if not key.startswith('visual.'):
        return key
    for pattern, name in _EVA_NAMES:
        key = re.sub(pattern, name, key)
    return f'visual.trunk.{key.removeprefix("visual.")}'


def _load_exactly(module: nn.Module, state: State, origin: str) -> None:
    own = module.state_dict()
    problems = [f'missing {key}' for key in own if key not in state]
    problems += [f'left over {key}' for key in state if key not in own]
    problems += [
        f'{key} is {tuple(state[key].shape)} in the file, {tuple(own[key].shape)} in the model'
        for key in own
        if key in state and state[key].shape != own[key].shape
    ]
    if problems:
        listed = '\n  '.join(problems[:20] + ['...'] * (len(problems) > 20))
        raise ValueError(f'{origin}: does not fit the model it is loaded into:\n  {listed}')
    module.load_state_dict(state)
