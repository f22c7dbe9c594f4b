"""Region-text baseline of the paper: dense features are trained with noun pseudo labels."""

from __future__ import annotations

import torch
from mmengine.registry import MODELS
from torch import Tensor

from clipself_mm.clip import roi_pool
from clipself_mm.datasets import RegionSample

from .region_distiller import RegionDistiller
from .region_pseudo_labeler import noun_embeddings


@MODELS.register_module()
class RegionText(RegionDistiller):
    """Fine-tunes a tower with region-text pairs, after RegionCLIP (paper, sections 4.4 and A.4).

    The pooled dense feature of each region is classified against noun embeddings. The ``teacher``
    has no part in the loss; ``WeightEnsembleHook`` blends it with the student as for CLIPSelf.

    Args:
        tower: Config of the ``VisionTower`` that is fine-tuned. The logit scale is read from its
            checkpoint and frozen.
        data_preprocessor: Config of a ``RegionPreprocessor``.
        nouns: Arguments of ``noun_embeddings``; label i of the data is noun i.
        unlocked_blocks: How many of the student's last blocks train; None for all.
        region_text_loss: Config of the loss between pooled features and nouns, which samples them.
        classifier: Arguments of ``RegionClassifier`` for validation; None to train only.
    """

    def __init__(
        self,
        tower: dict,
        data_preprocessor: dict,
        nouns: dict,
        unlocked_blocks: int | None = None,
        region_text_loss: dict | None = None,
        classifier: dict | None = None,
    ) -> None:
        super().__init__(tower, data_preprocessor, unlocked_blocks, classifier)
        self.nouns = noun_embeddings(**nouns)
        self.nouns.use_clip_of(self.student, 'model.nouns.text')
        self.region_text_loss = MODELS.build(region_text_loss or {'type': 'RegionTextLoss'})
        self.register_logit_scale()

    @property
    def train_classes(self) -> tuple[str, ...]:
        """The nouns."""
        return self.nouns.classes

    def loss(
        self, inputs: dict[str, Tensor], data_samples: list[RegionSample]
    ) -> dict[str, Tensor]:
        """Loss of a batch.

        Args:
            inputs: ``images`` (N, 3, H, W), normalised.
            data_samples: The regions of each image: ``boxes_px`` in pixels of ``images`` and
                ``labels``.
        """
        labels = torch.cat([sample.regions.labels for sample in data_samples])
        # The host reads the labels: before the device has the student's forward pass to do.
        sampled = self.region_text_loss.sample(labels, len(self.nouns.table))
        dense = self.student.encode_dense(inputs['images'])
        boxes_px = [sample.regions.boxes_px for sample in data_samples]
        pooled = roi_pool(dense, boxes_px, self.student.patch_size)
        loss = self.region_text_loss(pooled, labels, self.nouns.table, self.logit_scale, sampled)
        return {'loss_region_text': loss}
