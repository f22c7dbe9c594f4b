"""Head of Mask2Former with a text classifier in place of the linear layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

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
    """Class logits are temperature times cosine with the class embeddings, as in ODISE.

    `cls_embed` is a linear layer into CLIP's joint space and a `TextClassifier` with a learned
    no-object embedding. No weight depends on the classes.

    Args:
        vocabulary: Training classes, see `find_panoptic_vocabulary`.
        feat_channels: As in mmdet's head.
        test_vocabulary: Test classes; the training classes by default.
        embed_dim: Width of CLIP's joint space, D.
        no_object_weight: Weight of queries without an object in the classification loss.
        loss_cls: As in mmdet's head, without `class_weight`.
        embeddings: File of class embeddings, see `TextEmbeddings`.
        text: Arguments of `TextTower`, see `TextEmbeddings`.
        temperature: Factor of the cosines; initial value if it trains.
        learn_temperature: Whether the temperature trains.
        **kwargs: As in mmdet's `Mask2FormerHead`, without the numbers of classes.

    Attributes:
        train_vocabulary: Training vocabulary.
        test_vocabulary: Test vocabulary.
        vocabulary: The one in use; the training vocabulary after a loss.
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
        train = find_panoptic_vocabulary(vocabulary)
        test = train if test_vocabulary is None else find_panoptic_vocabulary(test_vocabulary)
        count = len(train.classes)
        loss_cls = ConfigDict(loss_cls, class_weight=[1.0] * count + [no_object_weight])
        super().__init__(
            feat_channels=feat_channels,
            num_things_classes=len(train.things),
            num_stuff_classes=count - len(train.things),
            loss_cls=loss_cls,
            **kwargs,
        )
        self.train_vocabulary, self.test_vocabulary = train, test
        classifier = TextClassifier(
            embed_dim,
            count + 1,
            embeddings,
            text,
            'learned',
            temperature,
            learn_temperature,
            {**test.synonyms, **train.synonyms},
        )
        self.cls_embed: Any = nn.Sequential(nn.Linear(feat_channels, embed_dim), classifier)
        self.vocabulary: Vocabulary | None = None
        self._new = False
        self._use_test()

    @property
    def classifier(self) -> TextClassifier:
        """The layer with the class embeddings."""
        return self.cls_embed[1]

    def use(self, vocabulary: Vocabulary, new: bool = False) -> None:
        """Change the classes in use.

        Args:
            vocabulary: The classes, things first.
            new: As in `TextEmbeddings.set_classes`; raises the same errors.
        """
        if vocabulary is self.vocabulary:
            return
        self.classifier.set_classes(vocabulary.classes, new)
        self.vocabulary = vocabulary
        self.num_classes = len(vocabulary.classes)
        self.num_things_classes = len(vocabulary.things)
        self.num_stuff_classes = self.num_classes - self.num_things_classes

    def _use_test(self) -> None:
        self.use(self.test_vocabulary, self._new)

    def set_vocabulary(self, vocabulary: str | Mapping | Vocabulary, new: bool = True) -> None:
        """Change the test classes; the training classes stay.

        Args:
            vocabulary: See `find_panoptic_vocabulary`.
            new: As in `use`.

        Raises:
            ValueError: As in `find_panoptic_vocabulary`, or there is no text tower to encode a
                name. The vocabulary stays as it was.
        """
        found = find_panoptic_vocabulary(vocabulary)
        self.use(found, new)
        self.test_vocabulary, self._new = found, new

    def train(self, mode: bool = True) -> TextMask2FormerHead:
        """Set the mode and with it the classes in use."""
        if mode:
            self.use(self.train_vocabulary)
        else:
            self._use_test()
        return super().train(mode)

    def loss(self, x: Sequence[Tensor], batch_data_samples: SampleList) -> dict[str, Tensor]:
        """Losses over the training classes, as in mmdet."""
        self.use(self.train_vocabulary)
        return super().loss(x, batch_data_samples)

    def predict(self, x: Sequence[Tensor], batch_data_samples: SampleList) -> tuple[Tensor, Tensor]:
        """Logits of the test classes (N, Q, K + 1) and of masks (N, Q, H, W)."""
        self._use_test()
        return super().predict(x, batch_data_samples)
