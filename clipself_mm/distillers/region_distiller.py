"""Base class of the distillers: student, frozen teacher, validation on regions."""

from __future__ import annotations

import copy

import torch
from mmengine.model import BaseModel
from torch import Tensor

from clipself_mm.clip.weights.checkpoints import read_logit_scale
from clipself_mm.datasets import RegionSample

from .region_classifier import RegionClassifier
from .region_preprocessor import build_tower_for


class RegionDistiller(BaseModel):
    """A student tower and its frozen copy, the ``teacher``.

    ``WeightEnsembleHook`` blends the two and exports the result. Validation classifies annotated
    regions with the student. Subclasses implement ``loss``.

    Args:
        tower: Config of the ``VisionTower`` that both start from.
        data_preprocessor: Config of a ``RegionPreprocessor``.
        unlocked_blocks: How many of the student's last blocks train; None for all.
        classifier: Arguments of ``RegionClassifier`` for validation; None to train only.
    """

    def __init__(
        self,
        tower: dict,
        data_preprocessor: dict,
        unlocked_blocks: int | None = None,
        classifier: dict | None = None,
    ) -> None:
        super().__init__(data_preprocessor=data_preprocessor)
        self.student = build_tower_for(self.data_preprocessor, tower)
        self.teacher = copy.deepcopy(self.student)
        self.student.unlock_blocks(unlocked_blocks)
        self.teacher.freeze()
        self.classifier = None if classifier is None else RegionClassifier(**classifier)
        if self.classifier is not None:
            self.classifier.text.use_clip_of(self.student, 'model.classifier.text')

    def register_logit_scale(self) -> None:
        """Register the logit scale of the tower's checkpoint as a buffer, which is not saved."""
        source = self.student.source
        if source is None:
            raise ValueError(
                f'{type(self).__name__} needs the logit scale of a checkpoint, but model.tower, a '
                f'{type(self.student).__name__}, has no source: build it with build_tower'
            )
        scale = torch.tensor(read_logit_scale(source))
        self.register_buffer('logit_scale', scale, persistent=False)

    @property
    def classes(self) -> tuple[str, ...] | None:
        """Classes of the validation labels; None without a classifier."""
        return None if self.classifier is None else self.classifier.classes

    @property
    def train_classes(self) -> tuple[str, ...] | None:
        """Classes of the training labels; None if training uses no labels."""
        return None

    def train(self, mode: bool = True) -> RegionDistiller:
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
        """Losses of a batch, by name; implemented by subclasses."""
        raise NotImplementedError(f'{type(self).__name__} has no loss')

    def predict(
        self, inputs: dict[str, Tensor], data_samples: list[RegionSample]
    ) -> list[RegionSample]:
        """Classify the annotated regions with the student's features."""
        if self.classifier is None:
            raise ValueError(
                f'validation of {type(self).__name__} needs model.classifier in the config'
            )
        return self.classifier.classify(
            self.student, inputs['images'], inputs['crops'], data_samples
        )
