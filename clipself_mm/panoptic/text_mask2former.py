"""mmdet's Mask2Former with an open-vocabulary head: the mask generator."""

from __future__ import annotations

from collections.abc import Mapping

from mmdet.models.detectors import Mask2Former
from mmengine.registry import MODELS

from clipself_mm.datasets import Vocabulary

from .text_mask2former_head import TextMask2FormerHead


@MODELS.register_module()
class TextMask2Former(Mask2Former):
    """Mask2Former whose training and test classes may differ (paper, section 4.3).

    The fusion head gets the number of things and stuff from the test vocabulary. With an
    `FViTBackbone`, a head without `text` or `embeddings` uses the text tower of the backbone's
    CLIP.

    Args:
        **kwargs: As in mmdet's `Mask2Former`, with a `TextMask2FormerHead` as `panoptic_head`.

    Raises:
        TypeError: `panoptic_head` is not a `TextMask2FormerHead`.
    """

    def __init__(self, **kwargs: object) -> None:
        super().__init__(**kwargs)
        if not isinstance(self.panoptic_head, TextMask2FormerHead):
            raise TypeError(
                'panoptic_head: expected a TextMask2FormerHead, got '
                f'{type(self.panoptic_head).__name__}'
            )
        if hasattr(self.backbone, 'tower'):
            self.panoptic_head.classifier.text.use_clip_of(
                self.backbone.tower, 'model.panoptic_head.text'
            )
        self._count()

    @property
    def vocabulary(self) -> Vocabulary:
        """Test vocabulary."""
        return self.panoptic_head.test_vocabulary

    @property
    def classes(self) -> tuple[str, ...]:
        """Test classes; label i is `classes[i]`."""
        return self.vocabulary.classes

    @property
    def train_classes(self) -> tuple[str, ...]:
        """Training classes; label i is `train_classes[i]`."""
        return self.panoptic_head.train_vocabulary.classes

    def set_vocabulary(self, vocabulary: str | Mapping | Vocabulary, new: bool = True) -> None:
        """Change the test classes, see `TextMask2FormerHead.set_vocabulary`."""
        self.panoptic_head.set_vocabulary(vocabulary, new)
        self._count()

    def _count(self) -> None:
        """Set the number of classes of detector and fusion head."""
        things = len(self.vocabulary.things)
        stuff = len(self.classes) - things
        for module in (self, self.panoptic_fusion_head):
            module.num_things_classes = things
            module.num_stuff_classes = stuff
            module.num_classes = things + stuff
