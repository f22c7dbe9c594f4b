"""Image-level supervision by captions: what a larger input alone does to dense features."""

import torch
from mmengine.registry import MODELS
from torch import Tensor

from clipself_mm.clip import CaptionEncoder
from clipself_mm.clip.text_embeddings import clip_of
from clipself_mm.clip.weights.checkpoints import read_logit_scale
from clipself_mm.datasets import RegionSample

from .region_distiller import RegionDistiller


@MODELS.register_module()
class ImageText(RegionDistiller):
    """CLIP's own training, continued at the student's input size (paper, Table 1c, row 5*).

    The whole image's embedding is drawn to that of one of its captions; text tower and logit scale
    stay as they are. No region is looked at but in validation.

    Args:
        tower: Config of the ``VisionTower`` to train. Its checkpoint gives the logit scale.
        data_preprocessor: Config of a ``RegionPreprocessor``.
        text: Arguments of ``TextTower``; the text tower of the same CLIP if left out.
        unlocked_blocks: How many of the student's last blocks train; None for all.
        contrastive_loss: Config of the loss between image and caption embeddings.
        classifier: Arguments of ``RegionClassifier`` for validation; None to train only.
    """

    def __init__(
        self,
        tower: dict,
        data_preprocessor: dict,
        text: dict | None = None,
        unlocked_blocks: int | None = None,
        contrastive_loss: dict | None = None,
        classifier: dict | None = None,
    ) -> None:
        super().__init__(tower, data_preprocessor, unlocked_blocks, classifier)
        if unlocked_blocks != 0:
            # Idle on the value path and therefore left frozen, queries and keys of the last block
            # are at work here, where the class token attends.
            self.student.blocks[-1].requires_grad_(True)
        self.captions = CaptionEncoder(text or clip_of(self.student))
        self.contrastive_loss = MODELS.build(contrastive_loss or {'type': 'ContrastiveLoss'})
        scale = torch.tensor(read_logit_scale(self.student.source))
        self.register_buffer('logit_scale', scale, persistent=False)

    def loss(
        self, inputs: dict[str, Tensor], data_samples: list[RegionSample]
    ) -> dict[str, Tensor]:
        """Contrastive loss of a batch.

        Args:
            inputs: ``images`` (N, 3, H, W), normalised.
            data_samples: With the ``caption`` of each image.
        """
        images = inputs['images']
        target = self.captions.encode([sample.caption for sample in data_samples], images.device)
        embedded = self.student.encode_image(images)
        return {'loss_contrastive': self.contrastive_loss(embedded, target, self.logit_scale)}
