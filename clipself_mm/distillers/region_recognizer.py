"""Region classification with a frozen tower, for ``tools/test.py``."""

from mmengine.registry import MODELS
from torch import Tensor

from clipself_mm.datasets import RegionSample
from clipself_mm.models import FrozenModel

from .region_classifier import RegionClassifier
from .region_preprocessor import build_tower_for


@MODELS.register_module()
class RegionRecognizer(FrozenModel):
    """Classifies annotated regions with a frozen tower (paper, Tables 1, 2, A1, A2).

    Args:
        tower: Config of a ``VisionTower``.
        classifier: Arguments of ``RegionClassifier``.
        data_preprocessor: Config of a ``RegionPreprocessor``.
    """

    def __init__(self, tower: dict, classifier: dict, data_preprocessor: dict) -> None:
        super().__init__(data_preprocessor=data_preprocessor)
        self.tower = build_tower_for(self.data_preprocessor, tower)
        self.tower.freeze()
        self.classifier = RegionClassifier(**classifier)
        self.classifier.text.use_clip_of(self.tower, 'model.classifier.text')
        self.freeze()

    @property
    def classes(self) -> tuple[str, ...]:
        """Classes of the labels."""
        return self.classifier.classes

    def predict(
        self, inputs: dict[str, Tensor], data_samples: list[RegionSample]
    ) -> list[RegionSample]:
        """Write ``pred_regions`` into samples, see ``RegionClassifier.classify``.

        Args:
            inputs: ``images`` (N, 3, H, W) and ``crops`` of all regions, both normalised.
            data_samples: With ``regions``.
        """
        return self.classifier.classify(self.tower, inputs['images'], inputs['crops'], data_samples)

    def _forward(self, inputs: dict[str, Tensor], data_samples: object = None) -> Tensor:
        """Dense maps of shape (N, D, h, w)."""
        return self.tower.encode_dense(inputs['images'])
