"""Pseudo labels for proposals: the best-matching noun of the image's captions (section A.4)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.registry import MODELS
from mmengine.structures import InstanceData
from torch import Tensor

from clipself_mm.clip import TextEmbeddings
from clipself_mm.datasets import RegionSample, load_nouns
from clipself_mm.models import FrozenModel

from .region_preprocessor import build_tower_for


def noun_embeddings(
    vocabulary: str, embeddings: str | None = None, text: dict | None = None
) -> TextEmbeddings:
    """Embeddings of the nouns of region-text pairs.

    Args:
        vocabulary: The nouns, see `load_nouns`.
        embeddings: File of their embeddings, see `TextEmbeddings`.
        text: Arguments of ``TextTower``, see `TextEmbeddings`; by default the text tower of the
            model's CLIP.
    """
    nouns = load_nouns(vocabulary)
    return TextEmbeddings(nouns.classes, embeddings, text, nouns.synonyms)


def match_nouns(crops: Tensor, nouns: Tensor, noun_labels: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Choose a noun per crop by cosine (paper, section A.4).

    Args:
        crops: Embeddings of the crops of an image, shape (R, D).
        nouns: Unit embeddings of all nouns, shape (K, D).
        noun_labels: Labels of the nouns in the image's captions, at least one.

    Returns:
        Labels (int64) and cosines, both of shape (R).
    """
    candidates = torch.as_tensor(noun_labels, device=crops.device)
    scores, best = (F.normalize(crops.float(), dim=-1) @ nouns[candidates].T).max(dim=-1)
    return candidates[best], scores


@MODELS.register_module()
class RegionPseudoLabeler(FrozenModel):
    """Labels proposals with nouns, for ``tools/test.py`` (paper, section A.4).

    Proposals are classified by their crops, because dense features of an untuned ViT are too weak.

    Args:
        tower: Config of a ``VisionTower``.
        nouns: Arguments of ``noun_embeddings``; ``noun_labels`` of the data are indices into them.
        data_preprocessor: Config of a ``RegionPreprocessor``.
    """

    def __init__(self, tower: dict, nouns: dict, data_preprocessor: dict) -> None:
        super().__init__(data_preprocessor=data_preprocessor)
        self.tower = build_tower_for(self.data_preprocessor, tower)
        self.tower.freeze()
        self.nouns = noun_embeddings(**nouns)
        self.nouns.use_clip_of(self.tower, 'model.nouns.text')
        self.freeze()

    @property
    def classes(self) -> tuple[str, ...]:
        """The nouns."""
        return self.nouns.classes

    def _forward(self, inputs: dict[str, Tensor], data_samples: object = None) -> Tensor:
        """Embeddings of all crops, shape (sum of R_i, D)."""
        return self.encode_crops(inputs['crops'])

    @torch.no_grad()
    def predict(
        self, inputs: dict[str, Tensor], data_samples: list[RegionSample]
    ) -> list[RegionSample]:
        """Write ``pred_regions`` into samples.

        Args:
            inputs: ``crops`` of all regions, normalised, shape (sum of R_i, 3, S, S).
            data_samples: With ``regions.boxes_px`` (R_i, 4) and ``noun_labels``.

        Returns:
            The samples; ``labels`` (int64) and ``scores``, the cosines, both of shape (R_i).
        """
        counts = [len(sample.regions) for sample in data_samples]
        if sum(counts) != len(inputs['crops']):
            raise ValueError(
                f'expected one crop per region, got {sum(counts)} regions and '
                f'{len(inputs["crops"])} crops'
            )
        embeddings = self.encode_crops(inputs['crops'])
        nouns = self.nouns.table
        for sample, crops in zip(data_samples, embeddings.split(counts), strict=True):
            if not sample.get('noun_labels'):
                raise ValueError(
                    f'{sample.get("img_path")}: noun_labels is empty; CaptionedRegions leaves out '
                    'images without nouns'
                )
            labels, scores = match_nouns(crops, nouns, sample.noun_labels)
            sample.pred_regions = InstanceData(labels=labels, scores=scores)
        return data_samples

    def encode_crops(self, crops: Tensor) -> Tensor:
        """Embeddings (R, D) of crops (R, 3, S, S); R may be 0."""
        if not len(crops):
            return crops.new_zeros(0, self.tower.dim)
        return self.tower.encode_image(crops)
