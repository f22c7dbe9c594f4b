"""F-ViT's RoI head: mmdet's `StandardRoIHead` plus pooling from the dense CLIP map."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from mmdet.models.roi_heads import StandardRoIHead
from mmdet.utils import InstanceList
from mmengine.registry import MODELS
from torch import Tensor

from .score_fusion import PairedLogits


class PyramidWithDense(tuple):
    """Levels of a pyramid, with the dense CLIP map of the same pass as attribute `dense`.

    mmdet uses it as a plain tuple of levels. A tuple that is derived from it has no `dense` and
    must be wrapped again.

    Args:
        levels: The pyramid, each level of shape (N, C, h_l, w_l).
        dense: The tower's dense map, shape (N, D, h, w), see `FViTBackbone`.
    """

    dense: Tensor

    def __new__(cls, levels: Iterable[Tensor], dense: Tensor) -> PyramidWithDense:
        """See the class."""
        pyramid = super().__new__(cls, levels)
        pyramid.dense = dense
        return pyramid


def full_precision(values: Iterable[Tensor]) -> tuple[Tensor, ...]:
    """Convert tensors of half precision to float32; others are returned unchanged."""
    half = (torch.float16, torch.bfloat16)
    return tuple(value.float() if value.dtype in half else value for value in values)


def poolable(maps: Iterable[Tensor]) -> tuple[Tensor, ...]:
    """Maps in float32 and contiguous: mmcv's RoIAlign reads no other memory layout."""
    return tuple(item.contiguous() for item in full_precision(maps))


@MODELS.register_module()
class FViTRoIHead(StandardRoIHead):
    """`StandardRoIHead` that at test time also pools each box from the dense CLIP map.

    Prediction needs a `PyramidWithDense`. For a detector without score fusion use mmdet's
    `StandardRoIHead`.

    Under autocast RoIs and their pooling stay in float32, as in mmdet 2. mmdet 3 converts RoIs to
    the dtype of the features. In float16 the area of a RoI of 256 x 256 px or more is
    infinite, so it is pooled from the coarsest level, and coordinates are rounded to 0.25 px; in
    bfloat16 they are rounded to 2 px.

    Args:
        clip_roi_extractor: Config of the RoI extractor for the CLIP map: RoIAlign 1 x 1 at the
            tower's stride, as in the official implementation.
        **kwargs: As in mmdet's `StandardRoIHead`; the bbox head is a `FViTBBoxHead`.
    """

    def __init__(self, clip_roi_extractor: dict, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.clip_roi_extractor = MODELS.build(clip_roi_extractor)

    def predict_bbox(self, x: PyramidWithDense, *args: object, **kwargs: object) -> InstanceList:
        """As in mmdet.

        Raises:
            TypeError: `x` has no dense CLIP map.
        """
        if not isinstance(x, PyramidWithDense):
            raise TypeError(
                f'{type(self).__name__} fuses its scores with those of the dense CLIP map, but got '
                f'a {type(x).__name__} of levels without it: pass PyramidWithDense(levels, dense), '
                'as FViT.predict does, or use StandardRoIHead, which does not fuse'
            )
        return super().predict_bbox(x, *args, **kwargs)

    def _bbox_forward(
        self, x: tuple[Tensor, ...], rois: Tensor
    ) -> dict[str, Tensor | PairedLogits]:
        """Logits and boxes of RoIs.

        Args:
            x: The pyramid.
            rois: Shape (R, 5), index of the image first.

        Returns:
            As in mmdet; for a `PyramidWithDense` `cls_score` is a `PairedLogits`.
        """
        results = super()._bbox_forward(poolable(x), rois)
        if isinstance(x, PyramidWithDense):
            features = self.pool_clip(x.dense, rois)
            results['cls_score'] = self.bbox_head.join_clip(results['cls_score'], features)
        return results

    def pool_clip(self, dense: Tensor, rois: Tensor) -> Tensor:
        """Features of RoIs from the dense CLIP map, shape (R, D)."""
        return self.clip_roi_extractor(full_precision([dense]), rois).flatten(1)

    def _mask_forward(
        self, x: tuple[Tensor, ...], *args: object, **kwargs: object
    ) -> dict[str, Tensor]:
        """As in mmdet, pooled in float32."""
        return super()._mask_forward(poolable(x), *args, **kwargs)
