"""Decode head of CAT-Seg: from dense map and text to logits per pixel and class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from mmengine.registry import MODELS
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import DATASETS
from mmseg.utils import ConfigType, SampleList
from torch import Tensor

from clipself_mm.clip.exemplar_embedding import ExemplarEmbedding
from clipself_mm.models import find_vocabulary, name_classes

from .cat_seg_aggregator import CATSegAggregator
from .cat_seg_cost import CATSegCost, cost_volume, select_classes
from .cat_seg_prompts import PROMPTS, CATSegPrompts
from .cat_seg_upsampling import CATSegUpsampling

EXCLUDED_LOGIT = -100.0
"""Logit of classes outside `top_classes`."""


@MODELS.register_module()
class CATSegHead(BaseDecodeHead):
    """Cost volume, aggregation and upsampling (Cho et al. 2023, arXiv 2303.11797).

    No weight depends on the classes: test classes may differ from training classes. The
    loss is per-class binary cross entropy; ignored pixels are negatives (`PixelBCELoss`).

    Args:
        vocabulary: Training classes, see `find_vocabulary`; label i is class i.
        test_vocabulary: Test classes; the training classes by default.
        text: Arguments of `TextTower`; that of the backbone's CLIP by default.
        embeddings: File of class embeddings in place of a text tower, see `CATSegPrompts`.
        templates: Prompts, see `CATSegPrompts`; each is a channel of the cost volume.
        finetune: 'attention' trains query and value weights of the text tower, 'none' nothing.
        embed_dim: Width of CLIP's joint space, D.
        tower_width: Channels of the tower's blocks.
        channels: Width of aggregation, C.
        guidance_channels: Width of the image and text guidance in aggregation.
        layers: Layers of aggregation.
        heads: Attention heads.
        window: Window side of spatial aggregation, in tokens.
        pooling: Pooling factor of class aggregation in training, see `CATSegClasses`.
        test_pooling: The same in prediction.
        padding: Least number of classes in class aggregation, see `CATSegClasses`.
        up_channels: Width after each upsampling stage.
        up_guidance_channels: Guidance channels per stage.
        up_inner_channels: Width of the guidance per stage before its projection.
        top_classes: Number of classes per image that are aggregated in prediction, see
            `select_classes`; the others get the logit `EXCLUDED_LOGIT`. None for all.
        decode_classes: Number of classes upsampled at once without gradients; saves memory and does
            not change the result.
        loss_decode: As in mmseg; `PixelBCELoss` by default.
        **kwargs: As in mmseg's `BaseDecodeHead`.
    """

    def __init__(
        self,
        vocabulary: str | Sequence[str],
        test_vocabulary: str | Sequence[str] | None = None,
        text: dict | None = None,
        embeddings: str | None = None,
        templates: str | Sequence[str] | None = PROMPTS,
        finetune: str = 'attention',
        embed_dim: int = 512,
        tower_width: int = 768,
        channels: int = 128,
        guidance_channels: int = 128,
        layers: int = 2,
        heads: int = 4,
        window: int = 12,
        pooling: int = 2,
        test_pooling: int = 1,
        padding: int = 256,
        up_channels: Sequence[int] = (64, 32),
        up_guidance_channels: Sequence[int] = (32, 16),
        up_inner_channels: Sequence[int] = (256, 128),
        top_classes: int | None = 256,
        decode_classes: int = 64,
        loss_decode: ConfigType | Sequence[ConfigType] | None = None,
        **kwargs: object,
    ) -> None:
        train = find_vocabulary(vocabulary, DATASETS)
        test = train if test_vocabulary is None else find_vocabulary(test_vocabulary, DATASETS)
        super().__init__(
            in_channels=embed_dim,
            channels=channels,
            num_classes=len(test.classes),
            out_channels=len(test.classes),
            threshold=0.5,
            dropout_ratio=0,
            loss_decode=loss_decode or dict(type='PixelBCELoss'),
            init_cfg=kwargs.pop('init_cfg', None),
            **kwargs,
        )
        del self.conv_seg  # the only layer with one output per class
        self.train_classes = train.classes
        synonyms = {**test.synonyms, **train.synonyms}
        self.prompts = CATSegPrompts(text, embeddings, templates, synonyms, finetune)
        self.set_classes(test.classes)
        self.cost = CATSegCost(self.prompts.count, channels)
        self.aggregator = CATSegAggregator(
            embed_dim,
            channels,
            guidance_channels,
            layers,
            heads,
            window,
            pooling,
            test_pooling,
            padding,
        )
        self.upsampling = CATSegUpsampling(
            tower_width, channels, up_channels, up_guidance_channels, up_inner_channels
        )
        self.top_classes = top_classes
        self.decode_classes = decode_classes

    def set_classes(
        self, classes: Sequence[str], exemplars: Mapping[str, ExemplarEmbedding] | None = None
    ) -> None:
        """Change the test classes; the training classes stay.

        Args:
            classes: K names, two or more: argmax over a single class labels every pixel with it.
            exemplars: Pictures of some of them, see `TextEmbeddings.set_classes`; by default none.

        Raises:
            ValueError: There are fewer than two names, or a name is empty, occurs twice or cannot
                be encoded.
        """
        names = name_classes(classes).classes
        if len(names) < 2:
            raise ValueError(f'vocabulary: expected two or more classes, got {list(names)}')
        self.prompts.set_classes(names, exemplars=exemplars or {})
        self.classes = names
        self.num_classes = self.out_channels = len(names)

    def train(self, mode: bool = True) -> CATSegHead:
        """Set the mode and with it the classes of the text embeddings."""
        if not (mode and self.prompts.trains):  # a text tower that trains has no table
            self.prompts.set_classes(self.train_classes if mode else self.classes)
        return super().train(mode)

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Logits of the test classes.

        Args:
            inputs: From `CATSegBackbone`: guidance maps, then the dense map (N, D, h, w).

        Returns:
            Shape (N, K, 2^S h, 2^S w) with S upsampling stages.
        """
        return self.segment(inputs, self.classes, self.top_classes)

    def loss(
        self,
        inputs: Sequence[Tensor],
        batch_data_samples: SampleList,
        train_cfg: ConfigType | None = None,
    ) -> dict[str, Tensor]:
        """Losses over the training classes.

        Args:
            inputs: As in `forward`.
            batch_data_samples: N samples with `gt_sem_seg` of one size.
            train_cfg: Ignored.

        Returns:
            The losses under their `loss_name`, and `acc_seg`.
        """
        return self.loss_by_feat(self.segment(inputs, self.train_classes), batch_data_samples)

    def segment(
        self, inputs: Sequence[Tensor], classes: Sequence[str], top: int | None = None
    ) -> Tensor:
        """Logits of any classes.

        Args:
            inputs: As in `forward`.
            classes: K names.
            top: Number of classes aggregated per image; None for all.

        Returns:
            As `forward`.
        """
        *maps, dense = inputs
        text = self.prompts(classes)
        chosen = None
        if top is not None and len(classes) > top:
            chosen = select_classes(dense, text, top)
            text = text[chosen]
        features = self.cost(cost_volume(dense, text))
        mean = F.normalize(text.mean(dim=-2), dim=-1).expand(len(dense), -1, -1)
        logits = self._upsample(self.aggregator(features, dense, mean), maps)
        if chosen is None:
            return logits
        all_logits = logits.new_full((len(logits), len(classes), *logits.shape[2:]), EXCLUDED_LOGIT)
        return all_logits.scatter(1, chosen[:, :, None, None].expand_as(logits), logits)

    def _upsample(self, features: Tensor, maps: Sequence[Tensor]) -> Tensor:
        guidance = self.upsampling.guide(maps)
        if torch.is_grad_enabled():
            return self.upsampling(features, guidance)
        parts = features.split(self.decode_classes, dim=1)
        return torch.cat([self.upsampling(part, guidance) for part in parts], dim=1)
