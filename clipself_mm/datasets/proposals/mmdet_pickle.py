"""Safe reading of the pickles of mmdet's `DumpProposals`."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from clipself_mm.io.safe_pickle import ARRAYS, StateHolder, load_pickle

DumpedBoxes = tuple[np.ndarray, 'np.ndarray | None']
"""Boxes xyxy in source pixels, float64 of shape (R, 4), and their scores of shape (R) or None."""


_ALLOWED = {**ARRAYS, 'mmengine.structures.instance_data.InstanceData': StateHolder}


def read_proposal_pickle(path: str) -> dict[str, DumpedBoxes]:
    """Read a pickle of `DumpProposals`.

    Args:
        path: Pickle of a dict from file name (`train2017/000000000009.jpg`) to an `InstanceData`
            or dict with `bboxes` (xyxy) and perhaps `scores`, or to an array of shape (R, 4), or
            (R, 5) with the scores last.

    Returns:
        File name to boxes and scores.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: It is broken, has other content, or refers to code that proposals do not need.
    """
    content = load_pickle(path, _ALLOWED, 'proposals as DumpProposals of mmdet 3 writes them')
    expected = f'{path}: expected a dict from file names to proposals, as DumpProposals of mmdet 3 '
    if not isinstance(content, Mapping):
        raise ValueError(f'{expected}writes it, got a {type(content).__name__}')
    for key in content:
        if not isinstance(key, str):
            raise ValueError(f'{expected}writes it, got the key {key!r}')
    return {name: _read(value, f'{path}: proposals of {name}') for name, value in content.items()}


def _read(value: object, where: str) -> DumpedBoxes:
    """Boxes and scores of one image; ValueError if they are missing or not numbers."""
    if isinstance(value, StateHolder):
        value = value.state
    if isinstance(value, np.ndarray):
        table = _numbers(value, where, 'bboxes')
        if table.ndim != 2 or table.shape[1] not in (4, 5):
            raise ValueError(f'{where} have shape {table.shape}, expected (R, 4) or (R, 5)')
        return table[:, :4], table[:, 4] if table.shape[1] == 5 else None
    if not isinstance(value, Mapping) or 'bboxes' not in value:
        raise ValueError(f'{where} are a {type(value).__name__} without an array of bboxes')
    boxes = _numbers(value['bboxes'], where, 'bboxes')
    scores = value.get('scores')
    if boxes.size == 0:
        boxes = boxes.reshape(0, 4)
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(f'{where} have bboxes of shape {boxes.shape}, expected (R, 4)')
    if scores is not None:
        scores = _numbers(scores, where, 'scores')
        if scores.shape != (len(boxes),):
            raise ValueError(f'{where} have {len(boxes)} bboxes and scores of shape {scores.shape}')
    return boxes, scores


def _numbers(array: object, where: str, key: str) -> np.ndarray:
    """Convert an array to float64; ValueError if it has other values than finite numbers."""
    if not isinstance(array, np.ndarray) or array.dtype.kind not in 'fiu':
        kind = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
        raise ValueError(f'{where}: {key} should be a numpy array of numbers, got {kind}')
    array = array.astype(np.float64)
    bad = array[~np.isfinite(array)]
    if len(bad):
        raise ValueError(f'{where}: {key} should be finite numbers, got {bad[0]}')
    return array
