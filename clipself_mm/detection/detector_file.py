"""Writes the weights of a trained detector as one file of safetensors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from clipself_mm.checkpoint_loading import (
    DATASET_META,
    MODULE_METADATA,
    read_training_checkpoint,
)
from clipself_mm.clip.export.tower_export import safetensors_bytes
from clipself_mm.clip.weights.activation_record import RECORD, header_record
from clipself_mm.clip.weights.checkpoints import check_finite
from clipself_mm.io.atomic_write import atomic_write

DTYPES = ('float32', 'bfloat16', 'float16')
"""Dtypes of the weights in a file."""


def export_detector(checkpoint: str | Path, path: str | Path, dtype: str = 'float32') -> int:
    """Write the weights and class names of a training's checkpoint.

    `load_from`, `tools/test.py` and the inferencers read the file as they read the checkpoint; so
    does `build_tower`, which takes the tower in it.

    Args:
        checkpoint: Checkpoint of a detector's training.
        path: Output `.safetensors` (written atomically).
        dtype: Dtype of the file's weights, one of `DTYPES`; models load them in their own.

    Returns:
        Number of parameters and statistics in the file.

    Raises:
        FileNotFoundError: There is no such checkpoint.
        ValueError: It is no checkpoint of a detector, its weights are not finite in this dtype, or
            the output's name has another ending.
    """
    if Path(path).suffix != '.safetensors':
        raise ValueError(f'{path}: expected the ending .safetensors')
    content = read_training_checkpoint(checkpoint)
    try:
        state, dataset_meta = content['state_dict'], content['meta']['dataset_meta']
        header = {DATASET_META: json.dumps(dataset_meta)}
    except (KeyError, TypeError) as error:
        raise ValueError(
            f'{checkpoint}: expected the checkpoint of a detector, with state_dict and '
            f'meta.dataset_meta ({error})'
        ) from error
    modules: dict[str, Any] = getattr(state, '_metadata', {})
    header[MODULE_METADATA] = json.dumps(modules)
    activation = modules.get('backbone.tower', {}).get(RECORD)
    if activation is not None:
        header |= header_record(activation)
    rounded = {
        key: value.to(getattr(torch, dtype)) if value.is_floating_point() else value
        for key, value in state.items()
    }
    check_finite(rounded, f'{checkpoint} in {dtype}')
    with atomic_write(path, durable=True) as part:
        part.write_bytes(safetensors_bytes(rounded, header))
    return sum(value.numel() for value in rounded.values())
