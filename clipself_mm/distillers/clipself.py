"""CLIPSelf: a CLIP ViT teaches its own dense features what its image embeddings know."""

import copy

import torch
from mmengine.model import BaseModel
from mmengine.registry import MODELS
from torch import Tensor

from clipself_mm.clip import roi_pool
from clipself_mm.datasets import RegionSample

from .region_classifier import RegionClassifier
from .region_preprocessor import check_normalisation


@MODELS.register_module()
class CLIPSelf(BaseModel):
    """Self-distillation of a CLIP ViT from image crops to dense regions (paper, section 3.2).

    Student and teacher start from the same weights; the teacher never changes.

    Args:
        tower: Config of the ``VisionTower`` that both start from.
        data_preprocessor: Config of a ``RegionPreprocessor``.
        unlocked_blocks: How many of the student's last blocks train; None for all.
        distill_loss: Config of the loss between pooled and crop embeddings.
        classifier: Arguments of ``RegionClassifier`` for validation; None to train only.
    """

    def __init__(
        self,
        tower: dict,
        data_preprocessor: dict,
        unlocked_blocks: int | None = None,
        distill_loss: dict | None = None,
        classifier: dict | None = None,
    ) -> None:
        super().__init__(data_preprocessor=data_preprocessor)
        self.student = MODELS.build(tower)
        check_normalisation(self.data_preprocessor, self.student)
        self.teacher = copy.deepcopy(self.student)
        self.student.unlock_blocks(unlocked_blocks)
        self.teacher.freeze()
        self.distill_loss = MODELS.build(distill_loss or {'type': 'CosineDistillLoss'})
        self.classifier = None if classifier is None else RegionClassifier(**classifier)

    def train(self, mode: bool = True) -> 'CLIPSelf':
        """Set the student's mode; the teacher stays in eval."""
        super().train(mode)
        self.teacher.eval()
        return self

    def forward(
        self, inputs: dict[str, Tensor], data_samples: list[RegionSample], mode: str = 'tensor'
    ) -> dict[str, Tensor] | list[RegionSample] | Tensor:
        """Dispatch to ``loss``, ``predict`` or, for ``tensor``, the student's dense maps."""
        if mode == 'loss':
            return self.loss(inputs, data_samples)
        if mode == 'predict':
            return self.predict(inputs, data_samples)
        return self.student.encode_dense(inputs['images'])

    def loss(
        self, inputs: dict[str, Tensor], data_samples: list[RegionSample]
    ) -> dict[str, Tensor]:
        """Distillation loss of a batch.

        Args:
            inputs: ``images`` (N, 3, H, W) for the student and ``crops`` (R, 3, S, S) for the
                teacher, both normalised.
            data_samples: The regions of each image, in pixels of ``images``.
        """
        dense = self.student.encode_dense(inputs['images'])
        boxes_px = [sample.regions.boxes_px for sample in data_samples]
        pooled = roi_pool(dense, boxes_px, self.student.patch_size)
        target = self.encode_crops(inputs['crops'])
        if len(target) != len(pooled):
            raise ValueError(f'the batch has {len(pooled)} regions and {len(target)} crops')
        return {'loss_cosine': self.distill_loss(pooled, target)}

    @torch.no_grad()
    def encode_crops(self, crops: Tensor) -> Tensor:
        """The teacher's embeddings (R, D) of crops (R, 3, S, S); R may be 0."""
        if not len(crops):
            return crops.new_zeros(0, self.teacher.dim)
        return self.teacher.encode_image(crops)

    def predict(
        self, inputs: dict[str, Tensor], data_samples: list[RegionSample]
    ) -> list[RegionSample]:
        """Classify the annotated regions by the student's features.

        Raises:
            ValueError: The model was built without a ``classifier``.
        """
        if self.classifier is None:
            raise ValueError('validation of CLIPSelf needs model.classifier in the config')
        return self.classifier.classify(
            self.student, inputs['images'], inputs['crops'], data_samples
        )
