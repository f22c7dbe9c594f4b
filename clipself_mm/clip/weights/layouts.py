"""Which layout a checkpoint has, and what its tensors are called in open_clip.

Two questions, two tables: what holds the CLIP (a distillation run, a detector, nothing), and whose
names the CLIP itself has. `docs/checkpoints.md` lists them; `tests/clip/test_layouts.py`
has a file of each.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from torch import Tensor

from . import eva_names, hugging_face_names

State = dict[str, Tensor]

_WRAPPERS = ('state_dict', 'model', 'module')
_PREFIXES = ('module.', '_orig_mod.')
"""What DistributedDataParallel and `torch.compile` put before every name."""

TEXT = re.compile(
    r'(text|transformer|token_embedding|ln_final)\..+'
    r'|positional_embedding|text_projection(\.weight|\.bias)?|logit_scale|logit_bias'
)
"""What a CLIP has beside its image tower."""
_PAIR = r'\.(?:weight|bias)'
VIT = re.compile(
    rf'visual\.(?:class_embedding|positional_embedding|proj|conv1\.weight|ln_(?:pre|post){_PAIR})'
    r'|visual\.transformer\.resblocks\.\d+\.(?:attn\.in_proj_(?:weight|bias)'
    rf'|(?:ln_[12]|attn\.out_proj|mlp\.c_fc|mlp\.c_proj){_PAIR})'
    rf'|visual\.trunk\.(?:cls_token|pos_embed|(?:patch_embed\.proj|norm|fc_norm|head){_PAIR})'
    r'|visual\.trunk\.blocks\.\d+\.(?:attn\.[qv]_bias'
    rf'|(?:norm[12]|attn\.(?:[qkv]_proj|qkv|proj|norm)|mlp\.(?:fc1|fc1_[gx]|fc2|norm)){_PAIR})'
)
"""open_clip's names of a ViT's image tower, OpenAI's kind and timm's EVA."""
DEAD = re.compile(
    r'(.+\.)?attn_mask|input_resolution|context_length|vocab_size'
    r'|text\.transformer\.embeddings\.position_ids'
)
"""Masks, counters and sizes that follow from the configuration."""


class CheckpointKind(NamedTuple):
    """A model that has a CLIP inside."""

    name: str
    tower: re.Pattern
    """Names of the tower; its group is what open_clip or EVA-CLIP calls the tensor."""
    others: re.Pattern
    """Names of its other parts, which are left out."""


class KeyStyle(NamedTuple):
    """Whose names a CLIP has."""

    name: str
    sign: Callable[[str], bool]
    """True for a name that only this naming has."""
    rename: Callable[[State], State]


class Layout(NamedTuple):
    """What a checkpoint turned out to be."""

    holder: str
    naming: str


DETECTOR_CLIP = r'backbone\.(?:(?:model|clip|clip_model)\.)?'
"""Where a released detector keeps its CLIP."""
_DETECTOR = re.compile(
    r'(backbone|neck|rpn_head|roi_head|bbox_head|mask_head|data_preprocessor)\..+'
)
CHECKPOINT_KINDS = (
    CheckpointKind(
        'CLIPSelf run',
        re.compile(r'student\.(visual\..+)'),
        re.compile(r'(teacher|data_preprocessor)\..+'),
    ),
    CheckpointKind('F-ViT', re.compile(r'backbone\.tower\.(visual\..+)'), _DETECTOR),
    CheckpointKind(
        'released detector',
        re.compile(DETECTOR_CLIP + r'(visual\..+)'),
        _DETECTOR,
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


def unwrap(content: Mapping) -> State:
    """Take a state dict out of what training code puts around it and before its names.

    Args:
        content: What a weight file holds.

    Returns:
        Its tensors under the model's own names.
    """
    for wrapper in _WRAPPERS:
        if isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    state = {str(k): v.detach() for k, v in content.items() if isinstance(v, Tensor)}
    while prefix := _common_prefix(state):
        state = {key.removeprefix(prefix): value for key, value in state.items()}
    return state


def canonical_names(state: Mapping[str, Tensor]) -> State:
    """Give a bare CLIP's tensors open_clip's names; rotary tables go, other names pass unchanged.

    Args:
        state: Names of open_clip, OpenAI, EVA-CLIP or Hugging Face.

    Raises:
        ValueError: A Hugging Face CLIP has names that are not known.
    """
    state = {k: v for k, v in state.items() if not eva_names.ROPE_BUFFER.fullmatch(k)}
    naming = _naming(state)
    return state if naming is None else naming.rename(state)


def to_open_clip(content: Mapping, origin: str) -> tuple[State, Layout]:
    """Find a checkpoint's layout and give its tensors open_clip's names.

    Args:
        content: What a weight file holds.
        origin: The file, for errors.

    Returns:
        Canonical names (`visual.*`, the text tower's, `logit_scale`) to tensors, and the layout.

    Raises:
        ValueError: There is no CLIP in it, or names are left over; all are listed.
    """
    state, holder = _out_of_holder(unwrap(content), origin)
    naming = _naming(state)
    if naming is None:
        some = ', '.join(sorted(state)[:3]) or 'nothing'
        raise ValueError(f'{origin}: expected a CLIP with keys "visual.*", found {some}, ...')
    try:
        state = canonical_names(state)
    except ValueError as error:
        raise ValueError(f'{origin}: {error}') from error
    state = {key: value for key, value in state.items() if not DEAD.fullmatch(key)}
    _check_names(state, origin, lambda key: key.startswith('visual.') or TEXT.fullmatch(key))
    return state, Layout(holder, naming.name)


def _naming(state: Mapping[str, Tensor]) -> KeyStyle | None:
    return next((one for one in KEY_STYLES if any(map(one.sign, state))), None)


def _common_prefix(state: State) -> str | None:
    return next((p for p in _PREFIXES if state and all(key.startswith(p) for key in state)), None)


def _out_of_holder(state: State, origin: str) -> tuple[State, str]:
    for holder in CHECKPOINT_KINDS:
        found = {match[1]: v for k, v in state.items() if (match := holder.tower.fullmatch(k))}
        if found:
            rest = {key: value for key, value in state.items() if not holder.tower.fullmatch(key)}
            _check_names(rest, origin, holder.others.fullmatch)
            return found, holder.name
    return state, 'CLIP'


def _check_names(state: State, origin: str, known: Callable[[str], object]) -> None:
    left_over = [f'{key} {tuple(value.shape)}' for key, value in state.items() if not known(key)]
    if left_over:
        listed = '\n  '.join(left_over)
        raise ValueError(f'{origin}: {len(left_over)} tensors are no part of a CLIP:\n  {listed}')
