"""mmdet's Mask2Former around a head of text: the generator of masks that knows any class."""

from __future__ import annotations

from collections.abc import Mapping

from mmdet.models.detectors import Mask2Former
from mmengine.registry import MODELS

from clipself_mm.datasets import Vocabulary

from .text_mask2former_head import TextMask2FormerHead


@MODELS.register_module()
class TextMask2Former(Mask2Former):
    """Trains on some classes and segments others (the mask generator of the paper's section 4.3).

    All but the vocabulary is mmdet's `Mask2Former`. The fusion head gets the number of things and
    stuff from the vocabulary of prediction. With an `FViTBackbone`, a head that names no text tower
    takes that of the backbone's CLIP.

    Args:
        **kwargs: As in mmdet's `Mask2Former`, with a `TextMask2FormerHead` as `panoptic_head`.

    Raises:
        TypeError: `panoptic_head` is another.
    """

    def __init__(self, **kwargs: object) -> None:
        super().__init__(**kwargs)
        if not isinstance(self.panoptic_head, TextMask2FormerHead):
            raise TypeError(
                f'panoptic_head is a TextMask2FormerHead, got {type(self.panoptic_head).__name__}'
            )
        if hasattr(self.backbone, 'tower'):
            self.panoptic_head.classifier.text.use_clip_of(
                self.backbone.tower, 'model.panoptic_head.text'
            )
        self._count()

    @property
    def vocabulary(self) -> Vocabulary:
        """The classes of prediction, with what is known of them."""
        return self.panoptic_head.test_words

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes of prediction, in the order of their labels."""
        return self.vocabulary.classes

    @property
    def train_classes(self) -> tuple[str, ...]:
        """The classes of training, in the order of their labels."""
        return self.panoptic_head.train_words.classes

    def set_vocabulary(self, vocabulary: str | Mapping | Vocabulary, new: bool = True) -> None:
        """Segment these classes from now on, see `TextMask2FormerHead.set_vocabulary`."""
        self.panoptic_head.set_vocabulary(vocabulary, new)
        self._count()

    def _count(self) -> None:
        """Tell detector and fusion head how many things and stuff there are."""
        things = len(self.vocabulary.things)
        stuff = len(self.classes) - things
        for module in (self, self.panoptic_fusion_head):
            module.num_things_classes = things
            module.num_stuff_classes = stuff
            module.num_classes = things + stuff
