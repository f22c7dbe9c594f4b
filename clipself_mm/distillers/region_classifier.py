"""Zero-shot classification of given regions by a tower: the measure of dense representation."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.structures import InstanceData
from torch import Tensor, nn

from clipself_mm.clip import ClassEncoder, VisionTower, mask_pool, roi_pool
from clipself_mm.datasets import RegionSample, load_vocabulary


class RegionClassifier(nn.Module):
    """Ranks a vocabulary's classes for regions, by three routes (paper, section 4.2, Table 2).

    Boxes pool the dense map by RoIAlign, masks by the mask-weighted mean, and crops are encoded as
    images. Masks and crops are classified where the samples bring them.

    Args:
        vocabulary: Name or path of the vocabulary; labels are indices into its classes.
        embeddings: File of class embeddings. Otherwise they are computed on first use.
        text: Arguments of ``TextTower``: the CLIP whose text tower computes them.
        topk: How many ranked classes to keep.
        crop_batch: Crops encoded at a time.

    Raises:
        ValueError: Not exactly one of ``embeddings`` and ``text`` is given.
    """

    def __init__(
        self,
        vocabulary: str,
        embeddings: str | None = None,
        text: dict | None = None,
        topk: int = 5,
        crop_batch: int = 128,
    ) -> None:
        super().__init__()
        if (embeddings is None) == (text is None):
            raise ValueError('give either a file of class embeddings or a text tower')
        self.classes = load_vocabulary(vocabulary).classes
        self.encoder = ClassEncoder(embeddings, text)
        self.topk = min(topk, len(self.classes))
        self.crop_batch = crop_batch
        self._class_embeddings: Tensor | None = None

    def class_embeddings(self, device: torch.device) -> Tensor:
        """Unit embeddings of the vocabulary, shape (K, D), read or computed once."""
        if self._class_embeddings is None:
            self._class_embeddings = self.encoder.encode(self.classes, device)
        self._class_embeddings = self._class_embeddings.to(device)
        return self._class_embeddings

    @torch.no_grad()
    def classify(
        self, tower: VisionTower, images: Tensor, crops: Tensor, samples: Sequence[RegionSample]
    ) -> list[RegionSample]:
        """Write ``pred_regions`` into samples: ranked classes by each route, (R_i, topk).

        Args:
            tower: The tower under test.
            images: Normalised, shape (N, 3, H, W).
            crops: Normalised crops of all regions, shape (sum of R_i, 3, S, S), or (0, ...).
            samples: With ``regions.boxes_px`` and, where known, ``regions.masks``.

        Returns:
            The samples.
        """
        counts = [len(sample.regions) for sample in samples]
        ranked = {
            f'{route}_topk': self.similarity(features).topk(self.topk, dim=-1).indices.split(counts)
            for route, features in self.features(tower, images, crops, samples).items()
        }
        for index, sample in enumerate(samples):
            sample.pred_regions = InstanceData(
                **{route: rows[index] for route, rows in ranked.items()}
            )
        return list(samples)

    def features(
        self, tower: VisionTower, images: Tensor, crops: Tensor, samples: Sequence[RegionSample]
    ) -> dict[str, Tensor]:
        """Region features by route: ``boxes`` and, where possible, ``masks`` and ``crops``.

        Arguments as in ``classify``; each value has shape (sum of R_i, D), not normalised.
        """
        dense = tower.encode_dense(images)
        boxes_px = [sample.regions.boxes_px for sample in samples]
        found = {'boxes': roi_pool(dense, boxes_px, tower.patch_size)}
        if all('masks' in sample.regions for sample in samples):
            found['masks'] = mask_pool(dense, [sample.regions.masks for sample in samples])
        if len(crops) not in (0, len(found['boxes'])):
            raise ValueError(f'got {len(crops)} crops of {len(found["boxes"])} regions')
        if len(crops):
            encoded = [tower.encode_image(part) for part in crops.split(self.crop_batch)]
            found['crops'] = torch.cat(encoded)
        return found

    def similarity(self, features: Tensor) -> Tensor:
        """Cosine of region features (R, D) with the classes, shape (R, K)."""
        return F.normalize(features.float(), dim=-1) @ self.class_embeddings(features.device).T
