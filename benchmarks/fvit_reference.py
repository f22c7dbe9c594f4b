"""The plain way to run F-ViT, for ratios taken in one run: built of our own modules by subclass.

Attention is written out (see ``reference_mode.py``), regions are convolved in the default memory
format, every pair of region and class becomes a box before mmdet's suppression.
"""

from __future__ import annotations

from mmdet.models.roi_heads.bbox_heads import ConvFCBBoxHead
from mmengine.registry import MODELS
from torch import Tensor

from benchmarks.reference_mode import as_reference
from clipself_mm.clip import build_tower
from clipself_mm.clip.vit_tower import ViTTower
from clipself_mm.detection import FViTBBoxHead


@MODELS.register_module(name='WrittenOutTower')
def build_written_out(**kwargs: object) -> ViTTower:
    """A `CLIPTower` in reference mode; its arguments."""
    return as_reference(build_tower(**kwargs))


@MODELS.register_module()
class PlainFViTBBoxHead(FViTBBoxHead):
    """`FViTBBoxHead` with mmdet's own pass and suppression."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """mmdet's."""  # noqa: D403
        return ConvFCBBoxHead.forward(self, x)

    def _predict_by_feat_single(self, *args: object, **kwargs: object) -> object:
        return ConvFCBBoxHead._predict_by_feat_single(self, *args, **kwargs)


def plain(model: dict) -> dict:
    """A detector's config with the plain parts in place of ours.

    Args:
        model: Config of an F-ViT; it is changed.
    """
    model['backbone']['tower']['type'] = 'WrittenOutTower'
    model['roi_head']['bbox_head']['type'] = 'PlainFViTBBoxHead'
    return model
