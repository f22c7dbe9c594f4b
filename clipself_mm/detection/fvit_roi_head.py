"""F-ViT's RoI head: mmdet's own, which also looks boxes up in the dense CLIP map."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from mmdet.models.roi_heads import StandardRoIHead
from mmengine.registry import MODELS
from torch import Tensor


class PyramidWithDense(tuple):
    """Levels of a pyramid, with the dense CLIP map of the same pass as `dense`.

    A plain tuple for everything in mmdet that slices or walks through the levels.

    Args:
        levels: The pyramid, each level of shape (N, C, h_l, w_l).
        dense: The tower's dense map, shape (N, D, h, w), L2-normalised on the value path.
    """

    dense: Tensor

    def __new__(cls, levels: Iterable[Tensor], dense: Tensor) -> PyramidWithDense:
        """See the class."""
        pyramid = super().__new__(cls, levels)
        pyramid.dense = dense
        return pyramid


def full_precision(values: Iterable[Tensor]) -> tuple[Tensor, ...]:
    """Tensors of half precision in float32, all others as they are."""
    half = (torch.float16, torch.bfloat16)
    return tuple(value.float() if value.dtype in half else value for value in values)


@MODELS.register_module()
class FViTRoIHead(StandardRoIHead):
    """`StandardRoIHead` that pools each box from the dense CLIP map too, where there is one.

    Under autocast RoIs and their pooling stay in float32, as in mmdet 2. mmdet 3 gives RoIs the
    type of the features: in half precision the area of one from 256 x 256 px on is infinite, so
    that it is pooled from the coarsest level, and coordinates are rounded to 0.25 px and more.

    Args:
        clip_roi_extractor: Config of the extractor for the CLIP map: RoIAlign 1 x 1 at the tower's
            stride (authors' release).
        **kwargs: As in mmdet's `StandardRoIHead`; the box head is a `FViTBBoxHead`.
    """

    def __init__(self, clip_roi_extractor: dict, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.clip_roi_extractor = MODELS.build(clip_roi_extractor)

    def _bbox_forward(self, x: tuple[Tensor, ...], rois: Tensor) -> dict[str, Tensor]:
        """Logits and boxes of RoIs; CLIP's logits stand beside the detector's if x is with dense.

        Args:
            x: The pyramid.
            rois: Shape (R, 5), index of the image first.
        """
        results = super()._bbox_forward(full_precision(x), rois)
        if isinstance(x, PyramidWithDense):
            features = self.clip_roi_extractor(full_precision([x.dense]), rois).flatten(1)
            results['cls_score'] = self.bbox_head.join_clip(results['cls_score'], features)
        return results

    def _mask_forward(
        self, x: tuple[Tensor, ...], *args: object, **kwargs: object
    ) -> dict[str, Tensor]:
        """As mmdet's, pooled in float32."""
        return super()._mask_forward(full_precision(x), *args, **kwargs)
