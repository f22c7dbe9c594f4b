"""The interface of a route: how ``RegionClassifier`` asks for features."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from torch import Tensor

from clipself_mm.clip import VisionTower
from clipself_mm.datasets import RegionSample


class RegionRoute(ABC):
    """A way to extract one feature a region; its numbers stand in one table with the others'.

    The names a route gives its features say what they are of: ``boxes``, ``masks`` or ``crops``,
    with a prefix where another route has that name (``masked_boxes``).
    """

    @abstractmethod
    def features(
        self, tower: VisionTower, images: Tensor, crops: Tensor, samples: Sequence[RegionSample]
    ) -> dict[str, Tensor]:
        """Features of all regions of a batch.

        Args:
            tower: The tower under test.
            images: Normalised, shape (N, 3, H, W).
            crops: Normalised crops of all regions, shape (sum of R_i, 3, S, S), or (0, ...).
            samples: With ``regions.boxes_px`` and, where known, ``regions.masks``.

        Returns:
            Name to features of shape (sum of R_i, D), images in order, not normalised. What the
            samples do not bring (masks, crops) is absent.
        """
