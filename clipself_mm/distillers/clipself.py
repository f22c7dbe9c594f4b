"""CLIPSelf: a CLIP ViT teaches its own dense features what its image embeddings know."""

from collections.abc import Sequence

import torch
from mmengine.model import ModuleList
from mmengine.registry import MODELS
from torch import Tensor

from clipself_mm.clip import roi_pool
from clipself_mm.datasets import RegionSample
from clipself_mm.losses import DenseBatch

from .image_cells import image_cells
from .region_distiller import RegionDistiller


@MODELS.register_module()
class CLIPSelf(RegionDistiller):
    """Self-distillation of a CLIP ViT from image crops to dense regions (paper, section 3.2).

    Student and teacher start from the same weights; the teacher never changes.

    Args:
        tower: Config of the ``VisionTower`` that both start from.
        data_preprocessor: Config of a ``RegionPreprocessor``.
        unlocked_blocks: How many of the student's last blocks train; None for all.
        distill_loss: Config of the loss between pooled and crop embeddings.
        classifier: Arguments of ``RegionClassifier`` for validation; None to train only.
        dense_losses: Configs of further losses on whole dense maps, as later work adds them:
            modules that make a scalar of a ``DenseBatch`` and have a ``name`` of their own.

    Raises:
        ValueError: Two dense losses have one name.
    """

    def __init__(
        self,
        tower: dict,
        data_preprocessor: dict,
        unlocked_blocks: int | None = None,
        distill_loss: dict | None = None,
        classifier: dict | None = None,
        dense_losses: Sequence[dict] | None = None,
    ) -> None:
        super().__init__(tower, data_preprocessor, unlocked_blocks, classifier)
        self.distill_loss = MODELS.build(distill_loss or {'type': 'CosineDistillLoss'})
        self.dense_losses = ModuleList(MODELS.build(item) for item in dense_losses or ())
        names = ['loss_cosine', *(item.name for item in self.dense_losses)]
        if len(set(names)) < len(names):
            raise ValueError(f'dense_losses: every loss needs a name of its own, got {names}')

    def loss(
        self, inputs: dict[str, Tensor], data_samples: list[RegionSample]
    ) -> dict[str, Tensor]:
        """Distillation loss of a batch, and its ``dense_losses`` by their names.

        Args:
            inputs: ``images`` (N, 3, H, W) for the student and ``crops`` (R, 3, S, S) for the
                teacher, both normalised.
            data_samples: The regions of each image, in pixels of ``images``.
        """
        images = inputs['images']
        dense, context = self.student.encode_dense_context(images)
        boxes_px = [sample.regions.boxes_px for sample in data_samples]
        pooled = roi_pool(dense, boxes_px, self.student.patch_size)
        target = self.encode_crops(inputs['crops'])
        if len(target) != len(pooled):
            raise ValueError(f'the batch has {len(pooled)} regions and {len(target)} crops')
        losses = {'loss_cosine': self.distill_loss(pooled, target)}
        if self.dense_losses:
            inside = image_cells(
                data_samples, dense.shape[-2:], self.student.patch_size, dense.device
            )
            batch = DenseBatch(images, dense, context, inside, self.teacher)
            losses |= {item.name: item(batch) for item in self.dense_losses}
        return losses

    @torch.no_grad()
    def encode_crops(self, crops: Tensor) -> Tensor:
        """The teacher's embeddings (R, D) of crops (R, 3, S, S); R may be 0."""
        if not len(crops):
            return crops.new_zeros(0, self.teacher.dim)
        return self.teacher.encode_image(crops)
