"""F-ViT's bbox head: a text-embedding classifier with test-time score fusion with CLIP (F-VLM).

Computation of a score, from the features of R boxes to detections of K classes:

1. `FViTBBoxHead.forward` returns the detector's logits (R, K + 1) in every mode: temperature times
   cosine, by `TextClassifier`. Losses and mmdet's mode 'tensor' use only these.
2. `FViT.predict` passes the dense CLIP map to the RoI head together with the pyramid, as
   `PyramidWithDense`. Without it `FViTRoIHead` raises.
3. `FViTRoIHead._bbox_forward` pools the dense map at the boxes; `join_clip` computes CLIP's logits.
   `PairedLogits` contains both and takes the place of `cls_score`.
4. mmdet's `predict_bbox` splits `cls_score` by image and calls `predict_by_feat`, where
   `probabilities` fuses the pair (`score_fusion.py`). A plain tensor, from a RoI head without CLIP,
   gets a softmax.
5. mmdet's `_predict_by_feat_single` decodes the boxes and applies `loss_cls.get_activation` to the
   scores. For `OpenVocabCELoss` it is the identity. Other losses would apply a second softmax, so
   this head raises for them.
6. `FViTBBoxHead._predict_by_feat_single` applies NMS (`topk_multiclass_nms.py`), and
   `FViT.predict` adds the names of the labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from mmdet.models.roi_heads.bbox_heads import ConvFCBBoxHead
from mmengine.config import ConfigDict
from mmengine.registry import MODELS
from mmengine.structures import InstanceData
from torch import Tensor

from clipself_mm.clip.exemplar_embedding import ExemplarEmbedding
from clipself_mm.datasets import Vocabulary, load_vocabulary
from clipself_mm.losses import OpenVocabCELoss

from .fvit_roi_head import full_precision
from .score_fusion import PairedLogits, fuse_scores, fusion_weights
from .text_classifier import TextClassifier
from .topk_multiclass_nms import topk_multiclass_nms


@MODELS.register_module()
class FViTBBoxHead(ConvFCBBoxHead):
    """mmdet's convolutional box head with a `TextClassifier` and score fusion (F-VLM).

    In training it is a softmax classifier over base classes and background. The module docstring
    describes its scores at test time.

    Args:
        vocabulary: Name or path of the vocabulary. Its order gives the labels, its split the base
            classes.
        alpha: Weight of CLIP in the scores of base classes and background, and of all classes if
            the vocabulary has no split.
        beta: Weight of CLIP in the scores of novel classes.
        clip_temperature: Factor on CLIP's cosines.
        background_weight: Weight of the background in the loss.
        cls_predictor_cfg: Config of a `TextClassifier`.
        loss_cls: Config of an `OpenVocabCELoss`; its `class_weight` is derived from the vocabulary
            by default.
        **kwargs: As in mmdet's `ConvFCBBoxHead`; `num_classes` is derived from the vocabulary.

    Raises:
        ValueError: `num_classes` contradicts the vocabulary, or the loss is not an
            `OpenVocabCELoss` with softmax.
    """

    fc_cls: TextClassifier

    def __init__(
        self,
        vocabulary: str,
        alpha: float = 0.1,
        beta: float = 0.8,
        clip_temperature: float = 75.0,
        background_weight: float = 1.0,
        cls_predictor_cfg: dict | None = None,
        loss_cls: dict | None = None,
        **kwargs: object,
    ) -> None:
        loaded = load_vocabulary(vocabulary)
        if kwargs.setdefault('num_classes', len(loaded.classes)) != len(loaded.classes):
            raise ValueError(
                f'num_classes is {kwargs["num_classes"]}, vocabulary {vocabulary} has '
                f'{len(loaded.classes)} classes: remove num_classes from the config'
            )
        loss_cls = dict(loss_cls or {'type': 'OpenVocabCELoss'})
        loss_cls.setdefault('class_weight', class_weights(loaded, background_weight))
        super().__init__(
            cls_predictor_cfg={'type': 'TextClassifier'} | dict(cls_predictor_cfg or {}),
            loss_cls=loss_cls,
            **kwargs,
        )
        if not isinstance(self.loss_cls, OpenVocabCELoss) or self.loss_cls.use_sigmoid:
            raise ValueError(
                f'loss_cls is {loss_cls}, but score fusion needs probabilities of a softmax over '
                'classes and background: use OpenVocabCELoss without use_sigmoid'
            )
        self.alpha = alpha
        self.beta = beta
        self.clip_temperature = clip_temperature
        self.train_vocabulary = loaded
        self.fc_cls.text.synonyms = self.fc_cls.text.synonyms or loaded.synonyms
        self.set_vocabulary(loaded.classes)

    def set_vocabulary(
        self,
        classes: Sequence[str],
        exemplars: Mapping[str, ExemplarEmbedding] | None = None,
        negatives: Sequence[str] = (),
    ) -> None:
        """Change the classes; no weight depends on them.

        Args:
            classes: K names. The weight of CLIP is `alpha` for classes of the training, else
                `beta`; this goes by the name, in upper or lower case, also of classes that are
                given by pictures.
            exemplars: Pictures of classes, by name, see `TextEmbeddings.set_classes`.
            negatives: Other names that take part in the softmax, but are not detected.

        Raises:
            FileNotFoundError, ValueError: As in `TextEmbeddings.set_classes`; the classes do not
                change.
        """
        columns = (*classes, *negatives)
        new = columns != self.train_vocabulary.classes
        self.fc_cls.set_classes(columns, new, exemplars or {})
        trained = self.train_vocabulary.base or self.train_vocabulary.classes
        known = {name.casefold() for name in trained}
        novel = {name for name in columns if name.casefold() not in known}
        weights = fusion_weights(columns, novel, self.alpha, self.beta)
        self.num_classes = len(classes)
        self.register_buffer('fusion', weights.to(self.fc_cls.text.device), persistent=False)

    def join_clip(self, cls_score: Tensor, clip_features: Tensor) -> PairedLogits:
        """Pair the detector's logits with CLIP's.

        Args:
            cls_score: The detector's logits, shape (R, K + 1).
            clip_features: Features of the boxes pooled from the dense CLIP map, shape (R, D).
        """
        clip_logits = self.clip_temperature * self.fc_cls.similarity(clip_features)
        return PairedLogits(cls_score.float(), clip_logits)

    def probabilities(self, cls_score: Tensor | PairedLogits) -> Tensor:
        """Scores of the classes and the background, shape (R, K + 1).

        Args:
            cls_score: Logits of K classes, N negatives and the background, shape (R, K + N + 1),
                or paired with CLIP's.
        """
        if isinstance(cls_score, PairedLogits):
            detector, clip = cls_score.detector.softmax(dim=-1), cls_score.clip.softmax(dim=-1)
            scores = fuse_scores(detector, clip, self.fusion)
        else:
            scores = cls_score.float().softmax(dim=-1)
        if len(self.fc_cls.classes) == self.num_classes:
            return scores
        return torch.cat([scores[:, : self.num_classes], scores[:, -1:]], dim=1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """As in mmdet, but channels last in eval mode (faster), and float32 under autocast.

        Args:
            x: Pooled regions, shape (R, C, h, w).

        Returns:
            Logits of shape (R, K + 1) and box deltas, from which losses and boxes are computed in
            float32.
        """
        if not self.training:  # in training, gradients would be channels last, unlike DDP's buckets
            x = x.contiguous(memory_format=torch.channels_last)
        logits, deltas = full_precision(super().forward(x))
        return logits, deltas

    def predict_by_feat(
        self,
        rois: tuple[Tensor, ...],
        cls_scores: tuple[Tensor | PairedLogits, ...],
        *args: object,
        **kwargs: object,
    ) -> list:
        """As in mmdet, with probabilities."""
        scores = tuple(self.probabilities(item) for item in cls_scores)
        return super().predict_by_feat(rois, scores, *args, **kwargs)

    def _predict_by_feat_single(
        self,
        roi: Tensor,
        *args: object,
        rcnn_test_cfg: ConfigDict | None = None,
        **kwargs: object,
    ) -> InstanceData:
        """As in mmdet, with `topk_multiclass_nms`.

        Args:
            roi: Shape (R, 5).
            rcnn_test_cfg: `score_thr`, `nms` and `max_per_img`; None returns all R boxes.
            *args: As in mmdet.
            **kwargs: As in mmdet.
        """
        if rcnn_test_cfg is None or not len(roi):
            return super()._predict_by_feat_single(
                roi, *args, rcnn_test_cfg=rcnn_test_cfg, **kwargs
            )
        decoded = super()._predict_by_feat_single(roi, *args, rcnn_test_cfg=None, **kwargs)
        boxes, scores, labels = topk_multiclass_nms(
            decoded.bboxes,
            decoded.scores[:, :-1],
            rcnn_test_cfg.score_thr,
            rcnn_test_cfg.nms,
            rcnn_test_cfg.max_per_img,
        )
        return InstanceData(bboxes=boxes, scores=scores, labels=labels)


def class_weights(vocabulary: Vocabulary, background: float) -> list[float]:
    """Class weights of the loss, K + 1: 1 for base classes, 0 for novel classes.

    Args:
        vocabulary: K classes; without a split all have weight 1.
        background: Weight of the background, the last entry.
    """
    return [float(name not in vocabulary.novel) for name in vocabulary.classes] + [background]
