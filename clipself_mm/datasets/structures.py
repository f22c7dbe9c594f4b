"""The regions of one image, and the error for an image that cannot be used."""

from __future__ import annotations

from mmengine.structures import BaseDataElement, InstanceData
from torch import Tensor


class RegionSample(BaseDataElement):
    """Regions of one image.

    Metainfo: `img_id`, `img_path`, `ori_shape` (height, width of the source), `img_shape`
    (height, width of the input before padding), `scale` (source pixels to input pixels), `rng_key`
    (see `SeededIndex.key`) and, where they are known, `caption` (the chosen one) and `noun_labels`
    (nouns of the image's captions).
    """

    @property
    def regions(self) -> InstanceData:
        """Input regions.

        `boxes_px` (float32 xyxy in input pixels, shape (R, 4)) and, where annotated, `labels`
        (int64, (R)), `is_thing` (bool, (R)), `masks` (bool on the token grid, (R, h, w)).
        """
        return self._regions

    @regions.setter
    def regions(self, value: InstanceData) -> None:
        self.set_field(value, '_regions', dtype=InstanceData)

    @regions.deleter
    def regions(self) -> None:
        del self._regions

    def pin_memory(self) -> RegionSample:
        """The sample with pinned tensors of regions and of cached targets.

        It is what torch's `DataLoader(pin_memory=True)` asks.
        """
        pinned = self.new()
        pinned.regions = _pinned(self.regions)
        if 'cached_targets' in self:
            pinned.cached_targets = _pinned(self.cached_targets)
        return pinned

    @property
    def pred_regions(self) -> InstanceData:
        """Predictions per region.

        Of `RegionClassifier`: ranked classes `boxes_topk`, `masks_topk`, `crops_topk` and
        `masked_*_topk`, int64 of shape (R, k). Of `RegionPseudoLabeler`: `labels`, `scores`, (R).
        """
        return self._pred_regions

    @pred_regions.setter
    def pred_regions(self, value: InstanceData) -> None:
        self.set_field(value, '_pred_regions', dtype=InstanceData)

    @pred_regions.deleter
    def pred_regions(self) -> None:
        del self._pred_regions


def _pinned(element: BaseDataElement) -> BaseDataElement:
    copied = element.new()
    for key, value in element.items():
        copied.set_data({key: value.pin_memory() if isinstance(value, Tensor) else value})
    return copied


class ImageReadError(RuntimeError):
    """A file of a sample is missing, broken, or contradicts its annotation.

    Args:
        path: The file, or the whole text: torch raises the error of a worker anew with one text.
        why: What was expected and what was found.
    """

    def __init__(self, path: str, why: str = '') -> None:
        super().__init__(path, why)
        self.path = path
        self.why = why

    def __str__(self) -> str:
        """Return the file and the reason in one line."""
        return f'{self.path}: {self.why}' if self.why else self.path
