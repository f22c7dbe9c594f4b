"""A teacher that is asked about each crop once: its answers come from and go to a store."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from mmengine.logging import print_log
from torch import Tensor

from clipself_mm.clip import VisionTower
from clipself_mm.datasets import RegionSample, StoredTargets, StoreFacts, StoreWriter


def tower_digest(tower: VisionTower) -> str:
    """Return 128 bits, as hex, that change with any weight or part of a tower.

    Weights, their number formats and shapes, the kinds of modules, patch size, native size and
    normalisation.
    """
    digest = hashlib.sha256()
    parts = [(name, type(module).__name__) for name, module in tower.named_modules()]
    digest.update(repr((parts, tower.patch_size, tower.image_size)).encode())
    digest.update(np.array([tower.mean, tower.std], '<f8').tobytes())
    for name, value in sorted(tower.state_dict().items()):
        value = value.detach().cpu().contiguous()
        digest.update(f'{name} {value.dtype} {tuple(value.shape)}'.encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()[:32]


def computing_precision(device: torch.device) -> str:
    """Return the number format of a matrix product of single precision here: autocast changes it.

    Args:
        device: Where the teacher computes.
    """
    probe = torch.zeros(1, 1, device=device)
    return str((probe @ probe).dtype).removeprefix('torch.')


class TeacherStore:
    """The part of a teacher store a distiller plays: it encodes what is missing and adds it.

    The other part is the data pipeline's: `CropUnstoredRegions` looks the regions up and leaves out
    the crops whose embeddings it found, so that a stored crop is neither cut nor sent nor encoded.
    A store is refused, before any of it is used, if its teacher, precision, crops or number format
    are others. A step that encodes something waits for the device, a step that finds everything
    does not.

    Args:
        folder: Folder of the store, on a disk all processes see; the pipeline names the same.
        dtype: Number format of the stored embeddings: `float32`, or `float16` for half the space.
        max_gib: Size in GiB above which nothing more is added; None for no limit.

    Attributes:
        is_full: Whether that size is reached.
    """

    def __init__(
        self, folder: str | Path, dtype: str = 'float32', max_gib: float | None = None
    ) -> None:
        self.folder = Path(folder)
        self.dtype = dtype
        self.max_bytes = None if max_gib is None else max_gib * 2**30
        self._writer: StoreWriter | None = None
        self.is_full = False

    def targets(
        self,
        teacher: VisionTower,
        encode: Callable[[Tensor], Tensor],
        crops: Tensor,
        samples: Sequence[RegionSample],
    ) -> Tensor:
        """Bring stored and new embeddings together.

        Args:
            teacher: The teacher.
            encode: Gives its embeddings (M, D) of crops (M, 3, S, S).
            crops: What no store had, normalised, of shape (M, 3, S, S).
            samples: Of N images, with `stored_targets`.

        Returns:
            float32 of shape (R, D), the regions of all images in order.

        Raises:
            ValueError: The pipeline did not look up, in another store, or left out other crops.
        """
        answers = [self._answer(sample, teacher, crops.device) for sample in samples]
        keys = np.concatenate([answer.new_keys for answer in answers])
        if len(keys) != len(crops):
            raise ValueError(
                f'{len(keys)} regions are not in the store, but {len(crops)} crops came'
            )
        fresh = encode(crops).float()
        if len(fresh):
            self._add(keys, fresh)
        found = np.concatenate([answer.found for answer in answers])
        # Stored embeddings stand first in the table, those just made after them.
        places = np.where(found, found.cumsum(), found.sum() + (~found).cumsum()) - 1
        stored = [answer.embeddings for answer in answers if len(answer.embeddings)]
        return torch.cat([*stored, fresh])[torch.from_numpy(places).to(fresh.device)]

    def _answer(
        self, sample: RegionSample, teacher: VisionTower, device: torch.device
    ) -> StoredTargets:
        """Return what the pipeline found for one image, if it asked the right store."""
        if 'stored_targets' not in sample:
            raise ValueError(
                f'teacher_store {self.folder}: the pipeline needs CropUnstoredRegions with this '
                'folder in the place of CropRegions'
            )
        answer = sample.stored_targets
        if answer.folder != self.folder:
            raise ValueError(
                f'the pipeline looks up in {answer.folder}, the model adds to {self.folder}: '
                'teacher_store and CropUnstoredRegions must name the same folder'
            )
        if self._writer is None:
            facts = StoreFacts(
                tower=tower_digest(teacher),
                precision=computing_precision(device),
                crops=answer.crops,
                dim=teacher.dim,
                dtype=self.dtype,
            )
            self._writer = StoreWriter(self.folder, facts, self.max_bytes)
        self._writer.facts.check(self.folder, crops=answer.crops)
        if answer.facts is not None:
            self._writer.facts.check(self.folder, **vars(answer.facts))
        return answer

    def _add(self, keys: np.ndarray, embeddings: Tensor) -> None:
        """Add new embeddings; say once that the store is full."""
        if self.is_full:
            return
        self.is_full = not self._writer.add(keys, embeddings.cpu().numpy())
        if self.is_full:
            print_log(
                f'the teacher store {self.folder} has reached its max_gib; it is used as it is',
                logger='current',
                level=logging.WARNING,
            )
