"""Mask2Former's head with text in place of its last linear layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mmdet.models.dense_heads import Mask2FormerHead
from mmdet.structures import SampleList
from mmengine.config import ConfigDict
from mmengine.registry import MODELS
from torch import Tensor, nn

from clipself_mm.datasets import Vocabulary
from clipself_mm.detection.text_classifier import TextClassifier

from .panoptic_vocabulary import find_panoptic_vocabulary

_LOSS = dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=2.0, reduction='mean')


@MODELS.register_module()
class TextMask2FormerHead(Mask2FormerHead):
    """Scores queries on any classes: temperature times cosine with their text (as ODISE's head).

    `cls_embed`, mmdet's slot, is a linear layer into CLIP's joint space and a `TextClassifier`
    whose no-object embedding is learned. The loss is over the classes of training, predictions are
    over those of the test; no weight depends on either.

    Args:
        vocabulary: Classes of training, as `find_panoptic_vocabulary` takes them.
        test_vocabulary: Classes of prediction; those of training if left out.
        embed_dim: Dimension of the CLIP, D.
        no_object_weight: Weight of the queries without an object in the loss of classes.
        loss_cls: As in mmdet's head, without `class_weight`.
        embeddings: File of class embeddings, see `TextEmbeddings`.
        text: Arguments of `TextTower`, see `TextEmbeddings`.
        temperature: Of the cosines; where it starts from if it trains.
        learn_temperature: Whether it trains.
        **kwargs: As in mmdet's `Mask2FormerHead`; the number of classes is the vocabulary's.

    Attributes:
        words: The vocabulary in use; after a loss that of training.
    """

    def __init__(
        self,
        vocabulary: str | Mapping,
        feat_channels: int,
        test_vocabulary: str | Mapping | None = None,
        embed_dim: int = 512,
        no_object_weight: float = 0.1,
        loss_cls: Mapping = _LOSS,
        embeddings: str | None = None,
        text: dict | None = None,
        temperature: float = 20.0,
        learn_temperature: bool = True,
        **kwargs: object,
    ) -> None:
        self.train_words = find_panoptic_vocabulary(vocabulary)
        count = len(self.train_words.classes)
        loss_cls = ConfigDict(loss_cls, class_weight=[1.0] * count + [no_object_weight])
        super().__init__(
            feat_channels=feat_channels,
            num_things_classes=len(self.train_words.things),
            num_stuff_classes=count - len(self.train_words.things),
            loss_cls=loss_cls,
            **kwargs,
        )
        self.test_words = (
            self.train_words
            if test_vocabulary is None
            else find_panoptic_vocabulary(test_vocabulary)
        )
        classifier = TextClassifier(
            embed_dim,
            count + 1,
            embeddings,
            text,
            'learned',
            temperature,
            learn_temperature,
            {**self.test_words.synonyms, **self.train_words.synonyms},
        )
        self.cls_embed = nn.Sequential(nn.Linear(feat_channels, embed_dim), classifier)
        self.words: Vocabulary | None = None
        self._new = False
        self._use_test()

    @property
    def classifier(self) -> TextClassifier:
        """The layer that holds the text."""
        return self.cls_embed[1]

    def use(self, words: Vocabulary, new: bool = False) -> None:
        """Score these classes from now on.

        Args:
            words: The classes, things first.
            new: As in `TextEmbeddings.set_classes`, whose errors are raised.
        """
        if words is self.words:
            return
        self.classifier.set_classes(words.classes, new)
        self.words = words
        self.num_classes = len(words.classes)
        self.num_things_classes = len(words.things)
        self.num_stuff_classes = self.num_classes - self.num_things_classes

    def _use_test(self) -> None:
        self.use(self.test_words, self._new)

    def set_vocabulary(self, vocabulary: str | Mapping | Vocabulary, new: bool = True) -> None:
        """Predict these classes from now on; training keeps its own.

        Args:
            vocabulary: As `find_panoptic_vocabulary` takes them.
            new: As for `use`.

        Raises:
            ValueError: As `find_panoptic_vocabulary`; or a name cannot be encoded, for lack of a
                text tower. The vocabulary stays as it was.
        """
        words = find_panoptic_vocabulary(vocabulary)
        self.use(words, new)
        self.test_words, self._new = words, new

    def train(self, mode: bool = True) -> TextMask2FormerHead:
        """Set the mode, and with it the classes."""
        if mode:
            self.use(self.train_words)
        else:
            self._use_test()
        return super().train(mode)

    def loss(self, x: Sequence[Tensor], batch_data_samples: SampleList) -> dict[str, Tensor]:
        """Losses over the classes of training; as mmdet's."""
        self.use(self.train_words)
        return super().loss(x, batch_data_samples)

    def predict(self, x: Sequence[Tensor], batch_data_samples: SampleList) -> tuple[Tensor, Tensor]:
        """Logits of the classes of prediction, (N, Q, K + 1), and of masks, (N, Q, H, W)."""
        self._use_test()
        return super().predict(x, batch_data_samples)
