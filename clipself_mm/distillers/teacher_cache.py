"""On-disk cache of teacher embeddings, the part that runs in the model."""

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
    """SHA-256 of a tower's weights, modules, sizes and normalisation: 128 bits, as hex."""
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

    `CropUncachedRegions` in the data pipeline looks up the cache, so a cached crop is neither cut
    nor encoded. Only steps that encode crops synchronise with the device.

    Args:
        folder: Folder of the cache on a local disk, the same as in the pipeline.
        dtype: Dtype of the embeddings on disk, `float32`, or `float16` for less space.
    """

    def __init__(self, folder: str | Path, dtype: str = 'float32') -> None:
        if dtype not in ('float32', 'float16'):
            raise ValueError(f"teacher_cache.dtype must be 'float32' or 'float16', got {dtype!r}")
        self.cache = EmbeddingCache(folder)
        self.dtype = dtype
        self._crops: str | None = None  # how the crops are made, once the cache is claimed

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
            encode: Computes the teacher's embeddings (M, D) of crops (M, 3, S, S).
            crops: Crops that are not cached, normalised, shape (M, 3, S, S).
            samples: N samples with `cached_targets`.

        Returns:
            float32 of shape (R, D), in the order of the regions of all images.

        Raises:
            ValueError: The pipeline does not use this cache, or the cache was made with a different
                teacher, precision, dtype or kind of crops.
        """
        parts = [self._cached(sample, teacher, crops.device) for sample in samples]
        new = encode(crops).float()
        if len(new):
            keys = [key for part in parts for key in part.missing_keys]
            self.cache.put(keys, new.cpu().numpy())
        found = torch.from_numpy(np.concatenate([part.found for part in parts]))
        targets = new.new_empty(len(found), teacher.dim)
        cached = [part.embeddings for part in parts if len(part.embeddings)]
        # Indices from the host: indexing with a mask on a GPU would synchronise.
        for mask, rows in ((found, cached), (~found, [new])):
            if rows:
                places = mask.nonzero().squeeze(1).to(new.device, non_blocking=True)
                targets[places] = torch.cat(rows)
        return targets

    def _cached(
        self, sample: RegionSample, teacher: VisionTower, device: torch.device
    ) -> BaseDataElement:
        """The pipeline's look-up for one image, after checks that it is of this cache."""
        folder = self.cache.folder
        if 'cached_targets' not in sample:
            raise ValueError(
                f'model.teacher_cache has folder {folder}: replace CropRegions in the pipeline by '
                'CropUncachedRegions with this folder'
            )
        part = sample.cached_targets
        if part.folder != folder:
            raise ValueError(
                f'CropUncachedRegions has folder {part.folder}, model.teacher_cache has {folder}'
            )
        if part.crops != self._crops:
            precision = matmul_dtype(device)
            self.cache.claim(
                CacheMetadata(tower_digest(teacher), precision, part.crops, teacher.dim, self.dtype)
            )
            self._crops = part.crops
        return part
