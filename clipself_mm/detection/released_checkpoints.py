"""Converts released detectors: the official F-ViT (mmdet 2) and CLIM's F-VLM (mmdet 3).

One table of patterns for both: each tensor is kept, renamed or dropped. A tensor that matches no
pattern is an error.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from torch import Tensor

from clipself_mm.clip.class_embeddings import BACKGROUND, check_suffix, save_class_embeddings
from clipself_mm.clip.weights import layouts
from clipself_mm.clip.weights.checkpoints import state_dict_mismatch
from clipself_mm.clip.weights.eva_names import ROPE_BUFFER
from clipself_mm.clip.weights.layouts import DETECTOR_CLIP, canonical_names, unwrap
from clipself_mm.clip.weights.weight_file import read_weight_file
from clipself_mm.io.atomic_write import atomic_write

State = dict[str, Tensor]

HEAD = r'roi_head\.bbox_head\.'
TOWER = re.compile(DETECTOR_CLIP + r'(visual\..+)')
TEMPERATURE = re.compile(HEAD + '(?:detect_temperature|cls_temp)')
BACKGROUND_VECTOR = re.compile(HEAD + r'bg_embedding(?:\.weight|\.bias)?')
"""A vector, or weight and bias of a linear layer with one input, whose sum is the vector."""
EMBEDDINGS = re.compile(HEAD + '(all|cls)_embeddings')
"""`all_embeddings` has one column per class, `cls_embeddings` one row per class."""
_LAYER = r'\.(?:weight|bias|running_mean|running_var|num_batches_tracked)'
_CONVS = rf'\.\d+\.(?:conv|bn|gn|ln){_LAYER}'
KEPT = re.compile(
    rf'backbone\.interpolate[1-4]\.\d+{_LAYER}'
    rf'|neck\.(?:lateral|fpn)_convs{_CONVS}'
    rf'|rpn_head\.(?:rpn_conv{_CONVS}|(?:rpn_conv|rpn_cls|rpn_reg){_LAYER})'
    rf'|{HEAD}(?:shared|cls|reg)_convs{_CONVS}'
    rf'|{HEAD}(?:(?:shared|cls|reg)_fcs\.\d+|fc_reg){_LAYER}'
    rf'|roi_head\.mask_head\.(?:convs{_CONVS}|(?:upsample|conv_logits){_LAYER})'
)
DROPPED = {
    'linear classifier, which is not used': re.compile(HEAD + r'fc_cls\.(weight|bias)'),
    'RoPE tables, which are computed from the input size': ROPE_BUFFER,
    'text tower and logit scale, which a detector does not use': re.compile(
        f'{DETECTOR_CLIP}(?:{layouts.TEXT.pattern})'
    ),
    'masks and sizes, which the config determines': re.compile(
        f'{DETECTOR_CLIP}(?:{layouts.NOT_WEIGHTS.pattern})'
    ),
    'raw weights, which mmcv 1 saves beside their moving averages': re.compile(r'ema_[^.]+'),
    'class embeddings, which the config determines': EMBEDDINGS,
}


@dataclass
class Conversion:
    """A detector's weights with the key names of this package.

    Attributes:
        state: The state dict.
        dropped: Dropped keys, by reason.
        embeddings: Class embeddings of the file, shape (K, D), or (K + 1, D) with background.
        classes: Class names of the file, in its order.
    """

    state: State = field(default_factory=dict)
    dropped: dict[str, list[str]] = field(default_factory=dict)
    embeddings: Tensor | None = None
    classes: tuple[str, ...] = ()


def read_detector(path: str | Path) -> Conversion:
    """Read and convert a checkpoint of the official F-ViT or of CLIM's F-VLM.

    Args:
        path: Checkpoint of an mm runner, or a state dict; no code in it is executed, see
            `read_weight_file`.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: It is broken, contains code, or is not such a detector.
    """
    content = read_weight_file(path)
    conversion = convert_state(unwrap(content), str(path))
    meta = content.get('meta', {})
    conversion.classes = _class_names(meta if isinstance(meta, Mapping) else {})
    return conversion


def convert_state(state: Mapping[str, Tensor], origin: str) -> Conversion:
    """Rename the keys of a released detector.

    Args:
        state: State dict of the detector.
        origin: File, for the error.
    """
    if any(key.startswith('backbone.tower.') for key in state):
        raise ValueError(f'{origin}: has key names of clipself_mm, load it without conversion')
    result = Conversion()
    towers: dict[str, State] = {}
    background: list[Tensor] = []
    unknown = []
    for key, value in state.items():
        reason = next((why for why, names in DROPPED.items() if names.fullmatch(key)), None)
        if reason is not None:
            result.dropped.setdefault(reason, []).append(key)
            if EMBEDDINGS.fullmatch(key):
                result.embeddings = value.T if key.endswith('all_embeddings') else value
        elif match := TOWER.fullmatch(key):
            towers.setdefault(key.removesuffix(match[1]), {})[match[1]] = value
        elif TEMPERATURE.fullmatch(key) and value.numel() == 1:
            result.state['roi_head.bbox_head.fc_cls.temperature'] = value.reshape(())
        elif BACKGROUND_VECTOR.fullmatch(key):
            background.append(value.flatten())
        elif KEPT.fullmatch(key):
            result.state[key] = value
        else:
            unknown.append(f'{key} {tuple(value.shape)}')
    for prefix, tower in towers.items():
        known = {k: v for k, v in canonical_names(tower).items() if layouts.VIT.fullmatch(k)}
        result.state |= {f'backbone.tower.{key}': value for key, value in known.items()}
        kept = {id(value) for value in known.values()}
        unknown += [
            f'{prefix}{key} {tuple(value.shape)}'
            for key, value in tower.items()
            if id(value) not in kept
        ]
    if len(towers) != 1:
        found = f'several: {sorted(towers)}' if towers else f'none in {len(state)} tensors'
        unknown.insert(0, f'expected one image tower, e.g. backbone.visual.*, found {found}')
    if unknown:
        raise ValueError(
            f'{origin}: is not an F-ViT of the official implementation or of CLIM, unknown keys:'
            f'\n  {_listed(unknown)}'
        )
    if background:
        result.state['roi_head.bbox_head.fc_cls.background'] = torch.stack(background).sum(0)
    return result


def check_fit(conversion: Conversion, config: str | Path) -> tuple[str, ...]:
    """Build the detector of a config and compare its state dict with the weights.

    Args:
        conversion: The weights.
        config: Config file whose model is an `FViT`. Its CLIP checkpoint is not needed.

    Returns:
        The classes of the config, in the order of its labels.

    Raises:
        ValueError: State dict mismatch; all missing and unexpected keys and shapes are listed.
    """
    loaded = Config.fromfile(config)
    init_default_scope(loaded.get('default_scope', 'mmdet'))
    loaded.model.backbone.tower.pop('checkpoint', None)
    model = MODELS.build(loaded.model)
    problems = state_dict_mismatch(model.state_dict(), conversion.state)
    if problems:
        raise ValueError(f'the weights do not fit the model of {config}:\n  {_listed(problems)}')
    return model.classes


def save_detector(conversion: Conversion, path: str | Path, classes: Sequence[str] = ()) -> None:
    """Write a checkpoint for `load_from`.

    Args:
        conversion: The weights.
        path: Output path (written atomically).
        classes: Class names in the order of the labels, for mmdet's inference. Those of the
            original file may have another order.
    """
    meta = dict(dataset_meta=dict(classes=tuple(classes))) if classes else {}
    state = {key: value.contiguous().clone() for key, value in conversion.state.items()}
    with atomic_write(path, durable=True) as part, part.open('wb') as file:
        torch.save(dict(meta=meta, state_dict=state), file)


def save_embeddings(
    conversion: Conversion, path: str | Path, classes: Sequence[str] | None = None
) -> None:
    """Write the class embeddings of a detector's checkpoint.

    Args:
        conversion: The checkpoint.
        path: Output path: `.pt` or `.safetensors` of names and vectors, or `.npy` in the order of
            the checkpoint.
        classes: Class names in the order of the checkpoint; by default its own.

    Raises:
        ValueError: There are no embeddings, or their number is not that of the names.
    """
    table = conversion.embeddings
    if table is None:
        raise ValueError(f'{path}: the checkpoint has no class embeddings to write')
    names = [*(classes or conversion.classes)]
    if check_suffix(path) == '.npy':
        names = [str(row) for row in range(len(table))]
    elif len(names) + 1 == len(table):
        names.append(BACKGROUND)
    if len(names) != len(table):
        raise ValueError(
            f'{path}: expected one class name per embedding, got {len(table)} embeddings and '
            f'{len(names)} names: give the vocabulary in the same order, or write a .npy'
        )
    save_class_embeddings(path, names, table)


def _class_names(meta: Mapping) -> tuple[str, ...]:
    """Class names in the metadata of mmdet 2 (`CLASSES`) or mmengine (`dataset_meta`), or none."""
    inner = meta.get('dataset_meta')
    for mapping in (inner if isinstance(inner, Mapping) else {}, meta):
        for key in ('classes', 'CLASSES'):
            if isinstance(mapping.get(key), list | tuple):
                return tuple(mapping[key])
    return ()


def _listed(lines: list[str]) -> str:
    return '\n  '.join(lines[:20] + [f'... {len(lines)} in all'] * (len(lines) > 20))
