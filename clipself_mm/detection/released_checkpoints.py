"""Detectors that others have trained: the authors' F-ViT (mmdet 2) and CLIM's F-VLM (mmdet 3).

Their weights under this package's names. Both families are read by one table, in which every tensor
has its line: kept, renamed or known to be dead. What no line matches is an error.
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
"""A vector, or a linear layer of one input, whose weight and bias add up to it."""
EMBEDDINGS = re.compile(HEAD + '(all|cls)_embeddings')
"""`all_embeddings` has a class a column, `cls_embeddings` a class a row."""
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
DEAD = {
    'linear classifier, which is built and never used': re.compile(HEAD + r'fc_cls\.(weight|bias)'),
    'rotary tables, which follow from the input': ROPE_BUFFER,
    'text tower and logit scale, which a detector does not use': re.compile(
        f'{DETECTOR_CLIP}(?:{layouts.TEXT.pattern})'
    ),
    'masks and sizes, which follow from the config': re.compile(
        f'{DETECTOR_CLIP}(?:{layouts.NOT_WEIGHTS.pattern})'
    ),
    'raw weights beside their moving averages, which mmcv 1 saves in their place': re.compile(
        r'ema_[^.]+'
    ),
    'class embeddings, which follow from the config': EMBEDDINGS,
}


@dataclass
class Conversion:
    """A detector's weights under this package's names.

    Attributes:
        state: The weights.
        dropped: Names left out, by reason.
        embeddings: Class embeddings that were in it, shape (K, D), or (K + 1, D) with background.
        classes: Class names that the file gives, in its order.
    """

    state: State = field(default_factory=dict)
    dropped: dict[str, list[str]] = field(default_factory=dict)
    embeddings: Tensor | None = None
    classes: tuple[str, ...] = ()


def read_detector(path: str | Path) -> Conversion:
    """Read and convert a checkpoint of the authors' F-ViT or of CLIM's F-VLM.

    Args:
        path: File of an mm runner, or of a bare state dict; never run, see `read_weight_file`.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is broken, holds code, or another detector.
    """
    content = read_weight_file(path)
    conversion = convert_state(unwrap(content), str(path))
    meta = content.get('meta', {})
    conversion.classes = _class_names(meta if isinstance(meta, Mapping) else {})
    return conversion


def convert_state(state: Mapping[str, Tensor], origin: str) -> Conversion:
    """Rename a released detector's tensors.

    Args:
        state: Its state dict.
        origin: File it came from, for the error.

    Raises:
        ValueError: Names are left over, or there is no image tower; all are listed.
    """
    if any(key.startswith('backbone.tower.') for key in state):
        raise ValueError(f'{origin}: has the names of clipself_mm already; load it as it is')
    result = Conversion()
    towers: dict[str, State] = {}
    background: list[Tensor] = []
    left_over = []
    for key, value in state.items():
        reason = next((why for why, names in DEAD.items() if names.fullmatch(key)), None)
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
            left_over.append(f'{key} {tuple(value.shape)}')
    for holder, tower in towers.items():
        known = {k: v for k, v in canonical_names(tower).items() if layouts.VIT.fullmatch(k)}
        result.state |= {f'backbone.tower.{key}': value for key, value in known.items()}
        kept = {id(value) for value in known.values()}
        left_over += [
            f'{holder}{key} {tuple(value.shape)}'
            for key, value in tower.items()
            if id(value) not in kept
        ]
    if len(towers) != 1:
        found = f'several: {sorted(towers)}' if towers else f'{len(state)} tensors, none of them so'
        left_over.insert(0, f'expected one image tower, e.g. backbone.visual.*, found {found}')
    if left_over:
        raise ValueError(
            f"{origin}: is no F-ViT as its authors' or CLIM's code saves it; not known are\n  "
            + _listed(left_over)
        )
    if background:
        result.state['roi_head.bbox_head.fc_cls.background'] = torch.stack(background).sum(0)
    return result


def check_fit(conversion: Conversion, config: str | Path) -> tuple[str, ...]:
    """Build the detector of a config and make sure that the weights are its weights, all of them.

    Args:
        conversion: The weights.
        config: File of a config whose model is an `FViT`. Its CLIP checkpoint is not needed.

    Returns:
        The classes of the config, in the order of its labels.

    Raises:
        ValueError: A tensor is missing, left over or of another shape; all are listed.
    """
    loaded = Config.fromfile(config)
    init_default_scope(loaded.get('default_scope', 'mmdet'))
    loaded.model.backbone.tower.pop('checkpoint', None)
    model = MODELS.build(loaded.model)
    problems = state_dict_mismatch(model.state_dict(), conversion.state)
    if problems:
        raise ValueError(f'the weights are not those of {config}:\n  {_listed(problems)}')
    return model.classes


def save_detector(conversion: Conversion, path: str | Path, classes: Sequence[str] = ()) -> None:
    """Write a checkpoint for `load_from`; it appears complete or not at all.

    Args:
        conversion: The weights.
        path: Where to.
        classes: Names in the order of the labels, which mmdet's inference shows. The file's own are
            not taken: their order need not be the config's.
    """
    meta = dict(dataset_meta=dict(classes=tuple(classes))) if classes else {}
    state = {key: value.contiguous().clone() for key, value in conversion.state.items()}
    with atomic_write(path, durable=True) as part, part.open('wb') as file:
        torch.save(dict(meta=meta, state_dict=state), file)


def save_embeddings(
    conversion: Conversion, path: str | Path, classes: Sequence[str] | None = None
) -> None:
    """Write the class embeddings that were in a detector's checkpoint.

    Args:
        conversion: The checkpoint.
        path: A `.pt` or `.safetensors` of names and vectors, or a `.npy` table in the order of the
            file.
        classes: Their names in the file's order; by default those that the file gives.

    Raises:
        ValueError: There are none, or names are asked for and do not fit.
    """
    table = conversion.embeddings
    if table is None:
        raise ValueError(f'{path}: the checkpoint holds no class embeddings to write')
    names = [*(classes or conversion.classes)]
    if check_suffix(path) == '.npy':
        names = [str(row) for row in range(len(table))]
    elif len(names) + 1 == len(table):
        names.append(BACKGROUND)
    if len(names) != len(table):
        raise ValueError(
            f'{path}: {len(table)} embeddings and {len(names)} class names; give the vocabulary in '
            'whose order they are, or write a .npy'
        )
    save_class_embeddings(path, names, table)


def _class_names(meta: Mapping) -> tuple[str, ...]:
    """Names as mmdet 2 (`CLASSES`) and mmengine (`dataset_meta`) keep them, or none."""
    inner = meta.get('dataset_meta')
    for place in (inner if isinstance(inner, Mapping) else {}, meta):
        for key in ('classes', 'CLASSES'):
            if isinstance(place.get(key), list | tuple):
                return tuple(place[key])
    return ()


def _listed(lines: list[str]) -> str:
    return '\n  '.join(lines[:20] + [f'... {len(lines)} in all'] * (len(lines) > 20))
