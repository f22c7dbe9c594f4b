"""On-disk cache of teacher embeddings, as a distiller uses it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from mmengine.structures import BaseDataElement
from torch import Tensor

from clipself_mm.clip import VisionTower
from clipself_mm.datasets import CacheMetadata, EmbeddingCache, RegionSample


def tower_digest(tower: VisionTower) -> str:
    """128 bits of a SHA-256, as hex, of a tower's weights, modules, sizes and normalisation."""
    digest = hashlib.sha256()
    parts = [(name, type(module).__name__) for name, module in tower.named_modules()]
    digest.update(repr((parts, tower.patch_size, tower.image_size)).encode())
    digest.update(np.array([tower.mean, tower.std], '<f8').tobytes())
    for name, value in sorted(tower.state_dict().items()):
        value = value.detach().cpu().contiguous()
        digest.update(f'{name} {value.dtype} {tuple(value.shape)}'.encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()[:32]


def matmul_dtype(device: torch.device) -> str:
    """Dtype of a float32 matrix product on a device: autocast changes it."""
    probe = torch.zeros(1, 1, device=device)
    return str((probe @ probe).dtype).removeprefix('torch.')


class TeacherCache:
    """Encodes the crops whose embeddings are not cached and adds them to the cache.

    `CropUncachedRegions` in the data pipeline does the look-up, so a cached crop is neither cut nor
    encoded. A step that encodes crops waits for the device, a step without does not.

    Args:
        folder: Folder of the cache on a local disk; the pipeline gives the same.
        dtype: Dtype of the embeddings on disk, `float32`, or `float16` for less space.
    """

    def __init__(self, folder: str | Path, dtype: str = 'float32') -> None:
        if dtype not in ('float32', 'float16'):
            raise ValueError(f'dtype of a teacher cache is float32 or float16, got {dtype!r}')
        self.cache = EmbeddingCache(folder)
        self.dtype = dtype
        self._crops: str | None = None  # recipe of the crops once the cache is claimed

    def targets(
        self,
        teacher: VisionTower,
        encode: Callable[[Tensor], Tensor],
        crops: Tensor,
        samples: Sequence[RegionSample],
    ) -> Tensor:
        """Merge cached and new embeddings.

        Args:
            teacher: The teacher.
            encode: Computes its embeddings (M, D) of crops (M, 3, S, S).
            crops: The crops that were not cached, normalised, shape (M, 3, S, S).
            samples: Of N images, with `cached_targets`.

        Returns:
            float32 of shape (R, D), the regions of all images in order.

        Raises:
            ValueError: The pipeline has no cache or another one, or the cache is of another
                teacher, precision, dtype or kind of crops.
        """
        parts = [self._cached(sample, teacher, crops.device) for sample in samples]
        fresh = encode(crops).float()
        if len(fresh):
            keys = [key for part in parts for key in part.missing_keys]
            self.cache.put(keys, fresh.cpu().numpy())
        found = torch.from_numpy(np.concatenate([part.found for part in parts]))
        targets = fresh.new_empty(len(found), teacher.dim)
        cached = [part.embeddings for part in parts if len(part.embeddings)]
        # Positions, not masks: a mask on a GPU would make the step wait for it.
        for places, rows in ((found, cached), (~found, [fresh])):
            if rows:
                targets[places.nonzero().squeeze(1).to(fresh.device)] = torch.cat(rows)
        return targets

    def _cached(
        self, sample: RegionSample, teacher: VisionTower, device: torch.device
    ) -> BaseDataElement:
        """The pipeline's look-up for one image, once it is known to be of the right cache."""
        folder = self.cache.folder
        if 'cached_targets' not in sample:
            raise ValueError(
                f'teacher_cache {folder}: the pipeline needs CropUncachedRegions with this folder '
                'in place of CropRegions'
            )
        part = sample.cached_targets
        if part.folder != folder:
            raise ValueError(f'CropUncachedRegions has folder {part.folder}, the model {folder}')
        if part.crops != self._crops:
            precision = matmul_dtype(device)
            self.cache.claim(
                CacheMetadata(tower_digest(teacher), precision, part.crops, teacher.dim, self.dtype)
            )
            self._crops = part.crops
        return part
