"""Data sets of mm whose images are read by `LoadBGR`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from mmcv.transforms import LoadImageFromFile
from mmengine.dataset import BaseDataset

_SAME = ('to_float32', 'backend_args')
_DEFAULTS = dict(
    color_type='color', imdecode_backend='cv2', file_client_args=None, ignore_empty=False
)


def with_load_bgr(pipeline: Sequence[dict | Callable], owner: str) -> list[dict | Callable]:
    """Replace mmcv's reader of images in a pipeline by `LoadBGR`.

    Only the steps of the pipeline itself are replaced, not those inside of a step.

    Args:
        pipeline: Steps, configs or callables.
        owner: The data set, for the error.

    Returns:
        The steps, `LoadImageFromFile` (with any scope) replaced.

    Raises:
        ValueError: A replaced step has an option that `LoadBGR` lacks.
    """
    return [_replaced(step, owner) for step in pipeline]


def _replaced(step: dict | Callable, owner: str) -> dict | Callable:
    """The step, or a `LoadBGR` in place of a `LoadImageFromFile`."""
    if type(step) is LoadImageFromFile:
        step = dict(type=LoadImageFromFile, **{k: getattr(step, k) for k in (*_SAME, *_DEFAULTS)})
    if not isinstance(step, dict):  # ConfigDict is one
        return step
    options = dict(step)
    kind = options.pop('type', None)
    name = kind.rpartition('.')[2] if isinstance(kind, str) else kind
    if name not in ('LoadImageFromFile', LoadImageFromFile):
        return step
    kept = {key: options.pop(key) for key in _SAME if key in options}
    other = {k: v for k, v in options.items() if k not in _DEFAULTS or v != _DEFAULTS[k]}
    if other:
        raise ValueError(
            f'{owner} reads images by LoadBGR, which has no {", ".join(other)} as '
            f'LoadImageFromFile({", ".join(f"{k}={v!r}" for k, v in other.items())}): write '
            "dict(type='LoadBGR') into the pipeline, whose options are exif, to_float32 and "
            'backend_args'
        )
    return dict(type='LoadBGR', **kept)


class CheckedImages(BaseDataset):
    """Mixin of mm's data sets: `LoadImageFromFile` in the pipeline is carried out by `LoadBGR`.

    Images are then read as in distillation: a broken file, a size other than the annotated one
    and an EXIF orientation that contradicts the boxes are errors. The step keeps its name in
    configs, because the inferencers of mm look for it. A `LoadBGR` in the pipeline is used as it
    is.

    Args:
        *args: As in the data set.
        **kwargs: As in the data set; `pipeline` is a keyword.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pipeline = with_load_bgr(kwargs.pop('pipeline', ()), type(self).__name__)
        super().__init__(*args, pipeline=pipeline, **kwargs)
