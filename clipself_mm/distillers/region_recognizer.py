"""A tower under region classification alone, for ``tools/test.py`` without a distillation."""

import torch
from mmengine.model import BaseModel
from mmengine.registry import MODELS
from torch import Tensor, nn

from clipself_mm.datasets import RegionSample

from .region_classifier import RegionClassifier
from .region_preprocessor import check_normalisation


@MODELS.register_module()
class RegionRecognizer(BaseModel):
    """Classifies annotated regions by a frozen tower's features (paper, Tables 1, 2, A1, A2).

    Nothing trains. Its one parameter outside the tower is there for DistributedDataParallel, which
    refuses a model without any that asks for a gradient.

    Args:
        tower: Config of a ``VisionTower``.
        classifier: Arguments of ``RegionClassifier``.
        data_preprocessor: Config of a ``RegionPreprocessor``.
    """

    def __init__(self, tower: dict, classifier: dict, data_preprocessor: dict) -> None:
        super().__init__(data_preprocessor=data_preprocessor)
        self.tower = MODELS.build(tower)
        check_normalisation(self.data_preprocessor, self.tower)
        self.tower.freeze()
        self.classifier = RegionClassifier(**classifier)
        self.classifier.text.use_clip_of(self.tower, 'model.classifier.text')
        self.unused = nn.Parameter(torch.zeros(1))

    @property
    def classes(self) -> tuple[str, ...]:
        """Classes that the labels of the data are indices into."""
        return self.classifier.classes

    def forward(
        self, inputs: dict[str, Tensor], data_samples: list[RegionSample], mode: str = 'predict'
    ) -> list[RegionSample] | Tensor:
        """Predict, or with ``mode='tensor'`` the dense maps of shape (N, D, h, w).

        Raises:
            NotImplementedError: ``mode='loss'``: nothing here trains.
        """
        if mode == 'tensor':
            return self.tower.encode_dense(inputs['images'])
        if mode == 'predict':
            return self.classifier.classify(
                self.tower, inputs['images'], inputs['crops'], data_samples
            )
        raise NotImplementedError(f'RegionRecognizer has no mode {mode!r}; nothing in it trains')
