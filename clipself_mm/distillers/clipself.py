"""CLIPSelf: distils a CLIP ViT's image embeddings of crops into its own dense features."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from mmengine.logging import print_log
from mmengine.model import ModuleList
from mmengine.registry import MODELS, TASK_UTILS
from torch import Tensor

from clipself_mm.clip import ViTTower
from clipself_mm.datasets import RegionSample
from clipself_mm.losses import DenseBatch, image_cells

from .region_distiller import RegionDistiller
from .teacher_cache import TeacherCache


@MODELS.register_module()
class CLIPSelf(RegionDistiller):
    """Self-distillation of a CLIP ViT from image crops to dense regions (paper, section 3.2).

    Student and teacher start from the same weights; the teacher is frozen.

    Args:
        tower: Config of the ``VisionTower`` that both start from.
        data_preprocessor: Config of a ``RegionPreprocessor``.
        unlocked_blocks: How many of the student's last blocks train; None for all.
        distill_loss: Config of the loss between pooled and crop embeddings.
        pooling: Config of the ``RegionPooling`` of the student's features; RoIAlign by default.
        classifier: Arguments of ``RegionClassifier`` for validation; None to train only.
        dense_losses: Configs of additional losses, on dense maps or regions: modules that map a
            ``DenseBatch`` to a scalar, each with a unique ``name`` that contains
            "loss" (mmengine adds up only these).
        teacher_cache: Arguments of ``TeacherCache``: the teacher encodes each crop once for all
            epochs and runs (docs/teacher-cache.md). None for no cache.
        teacher_dtype: Autocast dtype of the teacher, ``bfloat16`` or ``float16``; its weights keep
            their dtype. None uses the precision of the student. Faster only where the hardware
            supports the dtype (docs/performance.md).
        teacher_batch: Crops per forward pass of the teacher, to limit memory; None for all crops
            of the batch.
        teacher_multiple: The crops of a forward pass are padded with black ones to a multiple of
            this, so that compiled code and CUDA graphs see few shapes; the padding's embeddings
            are dropped.

    Raises:
        ValueError: The name of a dense loss is not unique or lacks "loss", it needs crops that a
            ``teacher_cache`` leaves out, or the ``teacher_dtype`` is not supported.
    """

    student: ViTTower

    def __init__(
        self,
        tower: dict,
        data_preprocessor: dict,
        unlocked_blocks: int | None = None,
        distill_loss: dict | None = None,
        classifier: dict | None = None,
        dense_losses: Sequence[dict] | None = None,
        teacher_cache: dict | None = None,
        teacher_dtype: str | None = None,
        teacher_batch: int | None = None,
        teacher_multiple: int = 1,
        pooling: dict | None = None,
    ) -> None:
        super().__init__(tower, data_preprocessor, unlocked_blocks, classifier)
        self.distill_loss = MODELS.build(distill_loss or {'type': 'CosineDistillLoss'})
        self.dense_losses = ModuleList(MODELS.build(item) for item in dense_losses or ())
        self.pooling = TASK_UTILS.build(pooling or {'type': 'RoIAlignPooling'})
        for loss in (self.distill_loss, *self.dense_losses):
            if hasattr(loss, 'set_dim'):  # it keeps embeddings over steps
                loss.set_dim(self.teacher.dim)
        names = ['loss_cosine', *(item.name for item in self.dense_losses)]
        if len(set(names)) < len(names):
            raise ValueError(f'dense_losses: the names must be unique, got {names}')
        if unsummed := [name for name in names if 'loss' not in name]:
            raise ValueError(
                'dense_losses: mmengine adds up only losses whose name contains "loss", got '
                f'{unsummed}'
            )

        self.teacher_cache = None if teacher_cache is None else TeacherCache(**teacher_cache)
        for loss in self.dense_losses:
            if self.teacher_cache is not None and getattr(loss, 'needs_crops', False):
                raise ValueError(
                    f'{type(loss).__name__} needs the crop of every region and does not work with '
                    'model.teacher_cache, which leaves out those of cached embeddings'
                )
        if teacher_dtype not in (None, 'bfloat16', 'float16'):
            raise ValueError(
                f"teacher_dtype must be None, 'bfloat16' or 'float16', got {teacher_dtype!r}"
            )
        if teacher_batch is not None and teacher_batch < 1:
            raise ValueError(f'teacher_batch must be None or at least 1, got {teacher_batch}')
        if teacher_multiple < 1:
            raise ValueError(f'teacher_multiple must be at least 1, got {teacher_multiple}')
        self.teacher_dtype = teacher_dtype
        self.teacher_batch = teacher_batch
        self.teacher_multiple = teacher_multiple
        self._warned = False

    def loss(
        self, inputs: dict[str, Tensor], data_samples: list[RegionSample]
    ) -> dict[str, Tensor]:
        """Distillation loss and ``dense_losses`` of a batch, by name.

        Args:
            inputs: ``images`` (N, 3, H, W) for the student and ``crops`` (R, 3, S, S) for the
                teacher, both normalised; with a cache, only the crops that are not cached.
            data_samples: The regions of each image, in pixels of ``images``.
        """
        # The teacher runs first: its temporaries are freed before the student keeps activations.
        target = self.targets(inputs['crops'], data_samples)
        images = inputs['images']
        dense, context = self.student.encode_dense_context(images)
        boxes_px = [sample.regions.boxes_px for sample in data_samples]
        regions = sum(map(len, boxes_px))
        if len(target) != regions:
            raise ValueError(
                f'expected one crop per region, got {regions} regions and {len(target)} crops'
            )
        pooled = self.pooling(dense, boxes_px, target, self.student.patch_size)
        losses = {'loss_cosine': self.distill_loss(pooled, target)}
        if self.dense_losses:
            inside = image_cells(data_samples, dense.shape[-2:], self.student.patch_size)
            batch = DenseBatch(
                images,
                dense,
                context,
                inside,
                self.teacher,
                self.student,
                boxes_px,
                pooled,
                target,
                inputs['crops'],
            )
            losses |= {item.name: item(batch) for item in self.dense_losses}
        return losses

    @torch.no_grad()
    def targets(self, crops: Tensor, data_samples: list[RegionSample]) -> Tensor:
        """The teacher's embeddings (R, D) of all regions, from the crops or the cache.

        Raises:
            ValueError: The pipeline uses a cache and the model has none.
        """
        if self.teacher_cache is not None:
            with self._teacher_precision(crops.device):  # compared with that of the cache
                return self.teacher_cache.targets(
                    self.teacher, self.encode_crops, crops, data_samples
                )
        if any('cached_targets' in sample for sample in data_samples):
            raise ValueError(
                'the pipeline has CropUncachedRegions, which leaves out cached crops: set '
                'model.teacher_cache.folder to the same folder'
            )
        return self.encode_crops(crops)

    @torch.no_grad()
    def encode_crops(self, crops: Tensor) -> Tensor:
        """The teacher's embeddings (R, D) of crops (R, 3, S, S); R may be 0."""
        if not len(crops):
            return crops.new_zeros(0, self.teacher.dim)
        self._check_size(crops)
        with self._teacher_precision(crops.device):
            parts = crops.split(self.teacher_batch or len(crops))
            return torch.cat([self._encode_padded(part) for part in parts])

    def _check_size(self, crops: Tensor) -> None:
        """Warn once if crops have not the size that the teacher was trained with."""
        (height, width), side = crops.shape[-2:], self.teacher.image_size
        if (height, width) != (side, side) and not self._warned:
            self._warned = True
            print_log(
                f'crops of {width} x {height} px for a teacher that was trained with images of '
                f'{side} px: set size={side} in CropRegions unless this is wanted',
                logger='current',
                level=logging.WARNING,
            )

    def _encode_padded(self, crops: Tensor) -> Tensor:
        missing = -len(crops) % self.teacher_multiple
        if not missing:
            return self.teacher.encode_image(crops)
        padded = torch.cat([crops, crops.new_zeros(missing, *crops.shape[1:])])
        return self.teacher.encode_image(padded)[: len(crops)]

    def _teacher_precision(self, device: torch.device) -> AbstractContextManager:
        if self.teacher_dtype is None:
            return nullcontext()  # the precision of the student
        return torch.autocast(device.type, getattr(torch, self.teacher_dtype))
