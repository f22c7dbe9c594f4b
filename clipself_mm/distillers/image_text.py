"""Image-level supervision by captions, a baseline: the effect of a larger input alone."""

from mmengine.registry import MODELS
from torch import Tensor

from clipself_mm.clip import CaptionEncoder, ViTTower
from clipself_mm.clip.text_embeddings import clip_of
from clipself_mm.datasets import RegionSample

from .region_distiller import RegionDistiller


@MODELS.register_module()
class ImageText(RegionDistiller):
    """CLIP's training, continued at the input size of the student (paper, Table 1c, row 5*).

    Contrastive loss between image embeddings and embeddings of their captions. Text tower and logit
    scale are frozen. Regions are used in validation only.

    Args:
        tower: Config of the ``VisionTower`` to train. The logit scale is read from its checkpoint.
        data_preprocessor: Config of a ``RegionPreprocessor``.
        text: Arguments of ``TextTower``; by default the text tower of the same CLIP.
        unlocked_blocks: How many of the student's last blocks train; None for all.
        contrastive_loss: Config of the loss between image and caption embeddings.
        classifier: Arguments of ``RegionClassifier`` for validation; None to train only.
    """

    student: ViTTower

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
            # `unlock_blocks` leaves queries and keys of the last block frozen, which the value path
            # does not use. Here the class token attends, so they train.
            self.student.blocks[-1].requires_grad_(True)
        self.captions = CaptionEncoder(text or clip_of(self.student))
        self.contrastive_loss = MODELS.build(contrastive_loss or {'type': 'ContrastiveLoss'})
        self.register_logit_scale()

    def loss(
        self, inputs: dict[str, Tensor], data_samples: list[RegionSample]
    ) -> dict[str, Tensor]:
        """Contrastive loss of a batch.

        Args:
            inputs: ``images`` (N, 3, H, W), normalised.
            data_samples: With the ``caption`` of each image.
        """
        images = inputs['images']
        texts = self.captions.encode([sample.caption for sample in data_samples], images.device)
        embeddings = self.student.encode_image(images)
        return {'loss_contrastive': self.contrastive_loss(embeddings, texts, self.logit_scale)}
