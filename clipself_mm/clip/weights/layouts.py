"""Find the layout of a checkpoint and rename its tensors to open_clip's keys.

A layout is a checkpoint kind (a distillation run, a detector, a bare CLIP) and the key style of the
CLIP inside. `docs/checkpoints.md` lists them; `tests/clip/test_layouts.py` has a file of each.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from torch import Tensor

from . import eva_names, hugging_face_names

State = dict[str, Tensor]

_logger = logging.getLogger(__name__)

_WRAPPERS = ('state_dict', 'model', 'module')
_BARE = 'CLIP'
"""Checkpoint kind of a file that has only a CLIP."""
_PLACE = re.compile(
    r'((?:.+?\.)?)(visual(?=\.)|vision_model(?=\.embeddings\.patch_embedding\.weight$)).+'
)
"""Keys of an image tower; group 1 is the place of its CLIP in a model, group 2 its name there."""
_PREFIXES = ('module.', '_orig_mod.')
"""Prefixes of DistributedDataParallel and `torch.compile`."""

TEXT = re.compile(
    r'(text|transformer|token_embedding|ln_final)\..+'
    r'|positional_embedding|text_projection(\.weight|\.bias)?|logit_scale|logit_bias'
)
"""open_clip's keys outside the image tower."""
_PAIR = r'\.(?:weight|bias)'
VIT = re.compile(
    rf'visual\.(?:class_embedding|positional_embedding|proj|conv1\.weight|ln_(?:pre|post){_PAIR})'
    r'|visual\.transformer\.resblocks\.\d+\.(?:attn\.in_proj_(?:weight|bias)'
    rf'|(?:ln_[12]|attn\.out_proj|mlp\.c_fc|mlp\.c_proj){_PAIR})'
    rf'|visual\.trunk\.(?:cls_token|pos_embed|(?:patch_embed\.proj|norm|fc_norm|head){_PAIR})'
    r'|visual\.trunk\.blocks\.\d+\.(?:attn\.[qv]_bias'
    rf'|(?:norm[12]|attn\.(?:[qkv]_proj|qkv|proj|norm)|mlp\.(?:fc1|fc1_[gx]|fc2|norm)){_PAIR})'
)
"""open_clip's keys of a ViT image tower: OpenAI-style and timm's EVA."""
NOT_WEIGHTS = re.compile(
    r'(.+\.)?attn_mask|input_resolution|context_length|vocab_size'
    r'|text\.transformer\.embeddings\.position_ids'
)
"""Masks, counters and sizes that the configuration determines; dropped."""


class CheckpointKind(NamedTuple):
    """A model with a CLIP image tower inside."""

    name: str
    tower: re.Pattern
    """Keys of the tower; group 1 is the key in open_clip or EVA-CLIP."""
    others: re.Pattern
    """Keys of the other parts, which are dropped."""
    place: str
    """Name of the tower's module."""


class KeyStyle(NamedTuple):
    """Naming scheme of a CLIP's state dict keys."""

    name: str
    matches: Callable[[str], bool]
    """True for a key that only this style has."""
    rename: Callable[[State], State]


class Layout(NamedTuple):
    """Layout of a checkpoint: names of its ``CheckpointKind``, or ``CLIP``, and ``KeyStyle``."""

    kind: str
    key_style: str


DETECTOR_CLIP = r'backbone\.(?:(?:model|clip|clip_model)\.)?'
"""Key prefix of the CLIP in a released detector."""
_DETECTOR = re.compile(
    r'(backbone|neck|rpn_head|roi_head|bbox_head|mask_head|data_preprocessor)\..+'
)
CHECKPOINT_KINDS = (
    CheckpointKind(
        'CLIPSelf run',
        re.compile(r'student\.(visual\..+)'),
        re.compile(r'(teacher|data_preprocessor|distill_loss|dense_losses)\..+'),
        'student',
    ),
    CheckpointKind(
        'F-ViT', re.compile(r'backbone\.tower\.(visual\..+)'), _DETECTOR, 'backbone.tower'
    ),
    CheckpointKind(
        'released detector',
        re.compile(DETECTOR_CLIP + r'(visual\..+)'),
        _DETECTOR,
        'backbone',
    ),
)
KEY_STYLES = (
    KeyStyle('EVA-CLIP', eva_names.MARKER_KEY.__eq__, eva_names.from_original),
    KeyStyle(
        'Hugging Face', hugging_face_names.MARKER_KEY.__eq__, hugging_face_names.from_hugging_face
    ),
    KeyStyle('OpenAI', 'input_resolution'.__eq__, dict),
    KeyStyle('open_clip', lambda key: key.startswith('visual.'), dict),
)


def take_state(content: Mapping) -> Mapping:
    """Take the state dict out of its wrappers.

    Args:
        content: Content of a weights file.
    """
    for wrapper in _WRAPPERS:
        if isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    return content


def unwrap(content: Mapping) -> State:
    """Take the state dict out of its wrappers and remove key prefixes of training code.

    Args:
        content: Content of a weights file.

    Returns:
        The tensors under the model's own keys.
    """
    content = take_state(content)
    state = {str(k): v.detach() for k, v in content.items() if isinstance(v, Tensor)}
    while prefix := _common_prefix(state):
        state = {key.removeprefix(prefix): value for key, value in state.items()}
    return state


def canonical_names(state: Mapping[str, Tensor]) -> State:
    """Rename the tensors of a bare CLIP to open_clip's keys; RoPE tables are dropped.

    Args:
        state: Keys of open_clip, OpenAI, EVA-CLIP or Hugging Face; other keys are unchanged.
    """
    state = {k: v for k, v in state.items() if not eva_names.ROPE_BUFFER.fullmatch(k)}
    style = _key_style(state)
    return state if style is None else style.rename(state)


def to_open_clip(content: Mapping, origin: str) -> tuple[State, Layout]:
    """Find the layout of a checkpoint and rename its tensors to open_clip's keys.

    Args:
        content: Content of a weights file.
        origin: The file, for errors.

    Returns:
        Canonical state (`visual.*`, the text tower, `logit_scale`) and the layout.

    Raises:
        ValueError: There is no CLIP in it, or it has unexpected keys.
    """
    _warn_of_copies(content, origin)
    state, kind = _take_clip(unwrap(content), origin)
    if kind == _BARE:
        state = _without_place(state, origin)
    style = _key_style(state)
    if style is None:
        found = ', '.join(sorted(state)[:3] or [str(name) for name in content][:3]) or 'nothing'
        raise ValueError(
            f'{origin}: is {words}'
            if (words := hugging_face_names.name_other(state))
            else f'{origin}: expected a CLIP with keys "visual.*", found {found}, ...'
        )
    try:
        state = canonical_names(state)
    except ValueError as error:
        raise ValueError(f'{origin}: {error}') from error
    state = {key: value for key, value in state.items() if not NOT_WEIGHTS.fullmatch(key)}
    _check_keys(state, origin, lambda key: key.startswith('visual.') or TEXT.fullmatch(key))
    return state, Layout(kind, style.name)


def _key_style(state: Mapping[str, Tensor]) -> KeyStyle | None:
    return next((style for style in KEY_STYLES if any(map(style.matches, state))), None)


def _common_prefix(state: State) -> str | None:
    return next((p for p in _PREFIXES if state and all(key.startswith(p) for key in state)), None)


def _take_clip(state: State, origin: str) -> tuple[State, str]:
    """Tensors of the CLIP inside a model, and the checkpoint kind."""
    for kind in CHECKPOINT_KINDS:
        tower = {match[1]: v for k, v in state.items() if (match := kind.tower.fullmatch(k))}
        if tower:
            rest = {key: value for key, value in state.items() if not kind.tower.fullmatch(key)}
            _check_keys(rest, origin, kind.others.fullmatch)
            return tower, kind.name
    return state, _BARE


def _without_place(state: State, origin: str) -> State:
    """Remove the place of the only CLIP in a model of unknown kind, Lightning's ``model.``."""
    places = {match[1]: match[2] for key in state if (match := _PLACE.fullmatch(key))}
    others = sorted(key for key in state if not key.startswith(tuple(places)))
    if not places or (len(places) == 1 and not others):
        place = next(iter(places), '')
        return {key.removeprefix(place): value for key, value in state.items()}
    named = ' and '.join(f'"{place}{tower}.*"' for place, tower in sorted(places.items()))
    beside = f', beside {", ".join(others[:3])}' if others else ''
    raise ValueError(
        f'{origin}: expected one CLIP and nothing else, found {named}{beside}; save the wanted one '
        'alone, its keys without that prefix'
    )


def _warn_of_copies(content: Mapping, origin: str) -> None:
    """Warn of other state dicts with the same keys, such as an average of the weights."""
    taken = take_state(content)
    key = str(next(iter(taken), ''))
    copies = [
        str(name)
        for name, value in content.items()
        if isinstance(value, Mapping)
        and value is not taken
        and any(str(other).endswith(key) for other in value)
    ]
    if copies:
        _logger.warning(
            '%s: %s is read, %s has the same keys and is not (EMAHook of mmengine writes the '
            'average to state_dict and the raw weights to ema_state_dict)',
            origin,
            next((name for name, value in content.items() if value is taken), 'the state dict'),
            ', '.join(copies),
        )


def _check_keys(state: State, origin: str, expected: Callable[[str], object]) -> None:
    unexpected = [f'{k} {tuple(value.shape)}' for k, value in state.items() if not expected(k)]
    if unexpected:
        listed = '\n  '.join(unexpected)
        raise ValueError(f'{origin}: {len(unexpected)} tensors are not part of a CLIP:\n  {listed}')
