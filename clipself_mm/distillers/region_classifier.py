"""Zero-shot classification of given regions, which measures a tower's dense features."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.registry import TASK_UTILS
from mmengine.structures import InstanceData
from torch import Tensor, nn

from clipself_mm.clip import TextEmbeddings, VisionTower
from clipself_mm.datasets import RegionSample, load_vocabulary

DEFAULT_EXTRACTORS = ('DenseFeatures', 'CropFeatures')
"""As in Tables 1 and 2 of the paper."""


def ranked_classes(similarity: Tensor, k: int) -> Tensor:
    """The k best classes per region, best first; ties by the lower index.

    Args:
        similarity: Scores of all classes, shape (R, K).
        k: Classes to keep; all if the vocabulary has fewer.

    Returns:
        Class indices, int64, shape (R, min(k, K)).
    """
    return similarity.argsort(dim=-1, descending=True, stable=True)[:, :k]


class RegionClassifier(nn.Module):
    """Ranks the classes of a vocabulary per region, by several features (paper, Tables 2 and A1).

    By default boxes and masks are pooled from the dense map and crops are encoded as images. Masks
    and crops are classified only if the samples have them.

    Args:
        vocabulary: Name or path of the vocabulary; labels are indices into its classes.
        embeddings: File of class embeddings, see `TextEmbeddings`.
        text: Arguments of ``TextTower``, see `TextEmbeddings`; by default the text tower of the
            model's CLIP.
        topk: Number of ranked classes to keep.
        extractors: Types or configs of `RegionFeatures`; `DEFAULT_EXTRACTORS` when None.

    Attributes:
        text: Embeddings of the vocabulary.
    """

    def __init__(
        self,
        vocabulary: str,
        embeddings: str | None = None,
        text: dict | None = None,
        topk: int = 5,
        extractors: Sequence[str | dict] | None = None,
    ) -> None:
        super().__init__()
        loaded = load_vocabulary(vocabulary)
        self.classes = loaded.classes
        self.text = TextEmbeddings(loaded.classes, embeddings, text, loaded.synonyms)
        self.topk = min(topk, len(self.classes))
        extractors = DEFAULT_EXTRACTORS if extractors is None else extractors
        if not extractors or isinstance(extractors, str):
            raise ValueError(f'extractors must be a list of at least one, got {extractors!r}')
        self.extractors = [
            TASK_UTILS.build({'type': item} if isinstance(item, str) else item)
            for item in extractors
        ]

    @torch.no_grad()
    def classify(
        self, tower: VisionTower, images: Tensor, crops: Tensor, samples: Sequence[RegionSample]
    ) -> list[RegionSample]:
        """Write ``pred_regions`` into samples: ranked classes per feature, (R_i, topk).

        Args:
            tower: The tower to evaluate.
            images: Normalised, shape (N, 3, H, W).
            crops: Normalised crops of all regions, shape (sum of R_i, 3, S, S), or (0, ...).
            samples: With ``regions.boxes_px`` and, if known, ``regions.masks``.

        Returns:
            The samples.
        """
        counts = [len(sample.regions) for sample in samples]
        ranked = {
            f'{name}_topk': ranked_classes(self.similarity(features), self.topk).split(counts)
            for name, features in self.features(tower, images, crops, samples).items()
        }
        for index, sample in enumerate(samples):
            sample.pred_regions = InstanceData(
                **{field: rows[index] for field, rows in ranked.items()}
            )
        return list(samples)

    def features(
        self, tower: VisionTower, images: Tensor, crops: Tensor, samples: Sequence[RegionSample]
    ) -> dict[str, Tensor]:
        """Region features of all extractors, by name.

        Arguments as in ``classify``. Each value has shape (sum of R_i, D), not normalised. The
        default extractors return ``boxes`` and, if the samples have them, ``masks`` and ``crops``.
        """
        found: dict[str, Tensor] = {}
        for extractor in self.extractors:
            features = extractor.extract(tower, images, crops, samples)
            if repeated := sorted(found.keys() & features.keys()):
                raise ValueError(
                    f'{type(extractor).__name__} returns {repeated}, as another extractor does: '
                    'names must be unique'
                )
            found |= features
        return found

    def similarity(self, features: Tensor) -> Tensor:
        """Cosine of region features (R, D) with the classes, shape (R, K)."""
        classes = self.text.table
        # In half precision many cosines would be equal.
        with torch.autocast(features.device.type, enabled=False):
            return F.normalize(features.float(), dim=-1) @ classes.T
