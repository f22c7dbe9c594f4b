"""Checks of a CLIP's configuration from a folder, before towers are built from it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

from open_clip.model import CLIPTextCfg, CLIPVisionCfg

from .weight_shards import weights_size

_PARTS = {'vision_cfg': CLIPVisionCfg, 'text_cfg': CLIPTextCfg}
_TOP = {'embed_dim': int, 'quick_gelu': bool}
_BYTES_PER_WEIGHT = 1 / 16
"""Generous: a file of the image tower alone has fewer weights than both towers."""


def check_config(config: Mapping[str, Any], weights: Path) -> None:
    """Check the values that towers are built from.

    Args:
        config: open_clip's `model_cfg`.
        weights: The weights file. It bounds the towers, so that a wrong number takes no memory.

    Raises:
        KeyError: A part is missing.
        ValueError: A value has the wrong type, or the file is far too small for these towers.
    """
    _check_types(config, _TOP, 'model_cfg')
    if config['embed_dim'] is None:
        raise ValueError('embed_dim is null')
    for part, kind in _PARTS.items():
        if not isinstance(config[part], Mapping):
            raise ValueError(f'{part} should be an object, it is {config[part]!r:.80}')
        _check_types(config[part], get_type_hints(kind), part)
    largest = max(_numbers(config))
    least = max(largest, _least_weights(config))
    size = weights_size(weights)
    if least * _BYTES_PER_WEIGHT > size:
        raise ValueError(f'its towers have {least:.3g} weights or more, {weights} has {size} bytes')


def check_normalisation(preprocess: Mapping[str, Any]) -> None:
    """Check the mean and std of the inputs.

    Args:
        preprocess: open_clip's `preprocess_cfg`.

    Raises:
        ValueError: They are not three numbers in 0-1 units.
    """
    for key in ('mean', 'std'):
        values = preprocess[key]
        numbers = values if isinstance(values, (list, tuple)) else ()
        right = [value for value in numbers if type(value) in (int, float) and 0 <= value <= 1]
        if len(numbers) != 3 or len(right) != 3 or (key == 'std' and 0 in right):
            raise ValueError(f'{key} is {values!r:.80}, expected 3 numbers in 0-1 units')


def _check_types(values: Mapping[str, Any], hints: Mapping[str, Any], part: str) -> None:
    """ValueError if a value is not of its type; null passes, other keys are ignored."""
    for key, value in values.items():
        if key in hints and value is not None and not _fits(value, hints[key]):
            raise ValueError(f'{key} of {part} is {value!r:.80}, expected {_name(hints[key])}')


def _fits(value: object, hint: Any) -> bool:  # noqa: ANN401
    parts = get_args(hint)
    if get_origin(hint) is Union:
        return any(_fits(value, part) for part in parts)
    if get_origin(hint) is tuple:
        if not isinstance(value, Sequence) or len(value) != len(parts):
            return False
        return all(map(_fits, value, parts))
    if hint is int:
        return type(value) is int and value >= 0
    if hint is float:
        return type(value) in (int, float) and math.isfinite(value)  # type: ignore[arg-type]
    return isinstance(value, hint)


def _name(hint: Any) -> str:  # noqa: ANN401
    return getattr(hint, '__name__', str(hint)).replace('typing.', '')


def _numbers(values: Mapping[str, Any]) -> list[int]:
    """All integers of a configuration."""
    found = [0]
    for value in values.values():
        if isinstance(value, Mapping):
            found += _numbers(value)
        elif isinstance(value, Sequence) and not isinstance(value, str):
            found += [number for number in value if type(number) is int]
        elif type(value) is int:
            found.append(value)
    return found


def _least_weights(config: Mapping[str, Any]) -> float:
    """About the number of weights in blocks and tables, not more; few of timm's and HF's towers."""
    vision, text = (
        {**vars(kind()), **{k: v for k, v in config[part].items() if v is not None}}
        for part, kind in _PARTS.items()
    )
    image, patch = vision['image_size'], max(vision['patch_size'], 1)
    cells = image**2 if isinstance(image, int) else math.prod(image)
    if vision['timm_model_name']:
        seen = cells / 32**2
    else:
        layers = vision['layers']
        depth = layers if isinstance(layers, int) else sum(layers)
        seen = _blocks(depth, vision) + vision['width'] * (cells / patch**2 + 3 * patch**2)
        seen += vision['width'] * config['embed_dim']
    if text['hf_model_name']:
        return seen
    told = _blocks(text['layers'], text)
    tables = text['vocab_size'] + text['context_length'] + config['embed_dim']
    return seen + told + text['width'] * tables


def _blocks(depth: int, part: Mapping[str, Any]) -> float:
    return depth * part['width'] ** 2 * (4 + 2 * part['mlp_ratio'])
