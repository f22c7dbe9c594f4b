"""F-ViT's box head: a text classifier whose test scores are fused with CLIP's (F-VLM).

How a score travels, from the features of R boxes to detections of K classes:

1. `FViTBBoxHead.forward` gives the detector's logits (R, K + 1) in every mode: temperature times
   cosine, by `TextClassifier`. Losses and mmdet's mode 'tensor' see nothing else.
2. `FViT.predict` hands the dense CLIP map to the RoI head beside the pyramid, as
   `PyramidWithDense`. `FViTRoIHead` refuses to predict without it.
3. `FViTRoIHead._bbox_forward` pools that map at the boxes; `join_clip` makes CLIP's logits of it.
   `PairedLogits` holds both, in mmdet's `cls_score`.
4. mmdet's `predict_bbox` splits `cls_score` by image and calls `predict_by_feat`, where
   `probabilities` fuses the pair (`score_fusion.py`). A plain tensor, from a RoI head without CLIP,
   gets a softmax.
5. mmdet's `_predict_by_feat_single` decodes the boxes and sends the scores through
   `loss_cls.get_activation`. That of `OpenVocabCELoss` is the identity: a second softmax would
   spoil them, so this head takes no other loss.
6. `FViTBBoxHead._predict_by_feat_single` keeps the best boxes (`topk_multiclass_nms.py`), and
   `FViT.predict` names their labels.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmdet.models.roi_heads.bbox_heads import ConvFCBBoxHead
from mmengine.config import ConfigDict
from mmengine.registry import MODELS
from mmengine.structures import InstanceData
from torch import Tensor

from clipself_mm.datasets import Vocabulary, load_vocabulary
from clipself_mm.losses import OpenVocabCELoss

from .fvit_roi_head import full_precision
from .score_fusion import PairedLogits, fuse_scores, fusion_weights
from .text_classifier import TextClassifier
from .topk_multiclass_nms import topk_multiclass_nms


@MODELS.register_module()
class FViTBBoxHead(ConvFCBBoxHead):
    """mmdet's convolutional box head with a `TextClassifier` and score fusion (F-VLM).

    In training it is an ordinary head over base classes and background. How its scores are made at
    test time is told at the top of this module.

    Args:
        vocabulary: Name or path of the vocabulary; its order gives the labels, its split the
            classes that train.
        alpha: CLIP's share in the scores of base classes, background and, where the vocabulary has
            no split, all classes.
        beta: CLIP's share in the scores of novel classes.
        clip_temperature: Factor on CLIP's cosines.
        background_weight: Weight of the background in the loss.
        cls_predictor_cfg: Config of a `TextClassifier`.
        loss_cls: Config of an `OpenVocabCELoss`; its `class_weight` follows from the vocabulary
            unless it is given.
        **kwargs: As in mmdet's `ConvFCBBoxHead`; `num_classes` follows from the vocabulary.

    Raises:
        ValueError: `num_classes` contradicts the vocabulary, or the loss is no `OpenVocabCELoss`
            over a softmax.
    """

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
        words = load_vocabulary(vocabulary)
        if kwargs.setdefault('num_classes', len(words.classes)) != len(words.classes):
            raise ValueError(
                f'num_classes is {kwargs["num_classes"]}, vocabulary {vocabulary} lists '
                f'{len(words.classes)}: leave it out'
            )
        loss_cls = dict(loss_cls or {'type': 'OpenVocabCELoss'})
        loss_cls.setdefault('class_weight', class_weights(words, background_weight))
        super().__init__(
            cls_predictor_cfg={'type': 'TextClassifier'} | dict(cls_predictor_cfg or {}),
            loss_cls=loss_cls,
            **kwargs,
        )
        if not isinstance(self.loss_cls, OpenVocabCELoss) or self.loss_cls.use_sigmoid:
            raise ValueError(
                f'loss_cls {loss_cls} does not fit fused probabilities, which are a softmax over '
                'classes and background: use OpenVocabCELoss without use_sigmoid'
            )
        self.fc_cls: TextClassifier
        self.alpha = alpha
        self.beta = beta
        self.clip_temperature = clip_temperature
        self.configured = words
        self.fc_cls.text.synonyms = self.fc_cls.text.synonyms or words.synonyms
        self.set_vocabulary(words.classes)

    def set_vocabulary(self, classes: Sequence[str]) -> None:
        """Change what the head recognises; no weight depends on it.

        Args:
            classes: K names. CLIP's share is `alpha` for those that were trained, else `beta`.

        Raises:
            FileNotFoundError, ValueError: As in `TextEmbeddings.set_classes`; nothing has changed.
        """
        classes = tuple(classes)
        self.fc_cls.set_classes(classes, new=classes != self.configured.classes)
        trained = self.configured.base or self.configured.classes
        novel = set(classes) - set(trained)
        weights = fusion_weights(classes, novel, self.alpha, self.beta)
        self.num_classes = len(classes)
        self.register_buffer('fusion', weights.to(self.fc_cls.text.device), persistent=False)

    def join_clip(self, cls_score: Tensor, clip_features: Tensor) -> PairedLogits:
        """Put CLIP's logits beside the detector's.

        Args:
            cls_score: The detector's logits, shape (R, K + 1).
            clip_features: The boxes' features in the dense CLIP map, shape (R, D).
        """
        clip_logits = self.clip_temperature * self.fc_cls.similarity(clip_features)
        return PairedLogits(cls_score.float(), clip_logits)

    def probabilities(self, cls_score: Tensor | PairedLogits) -> Tensor:
        """Scores of the classes and the background, shape (R, K + 1), from what `forward` gives.

        Args:
            cls_score: Logits of shape (R, K + 1), or with CLIP's beside them.
        """
        if not isinstance(cls_score, PairedLogits):
            return cls_score.float().softmax(dim=-1)
        detector, clip = cls_score.detector.softmax(dim=-1), cls_score.clip.softmax(dim=-1)
        return fuse_scores(detector, clip, self.fusion)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """As mmdet's; in eval mode the convolutions run on channels last, best for small maps.

        What it returns is float32 under autocast too, and so are losses and decoded boxes.

        Args:
            x: Pooled regions, shape (R, C, h, w).

        Returns:
            Logits of shape (R, K + 1) and box deltas.
        """
        if not self.training:  # gradients would take the format, which DDP's buckets do not
            x = x.contiguous(memory_format=torch.channels_last)
        return full_precision(super().forward(x))

    def predict_by_feat(
        self,
        rois: tuple[Tensor, ...],
        cls_scores: tuple[Tensor | PairedLogits, ...],
        *args: object,
        **kwargs: object,
    ) -> list:
        """As mmdet's, on probabilities."""
        scores = tuple(self.probabilities(item) for item in cls_scores)
        return super().predict_by_feat(rois, scores, *args, **kwargs)

    def _predict_by_feat_single(
        self,
        roi: Tensor,
        *args: object,
        rcnn_test_cfg: ConfigDict | None = None,
        **kwargs: object,
    ) -> InstanceData:
        """Boxes and scores of one image as mmdet decodes them, cut down by `topk_multiclass_nms`.

        Args:
            roi: Shape (R, 5); further arguments as in mmdet's.
            rcnn_test_cfg: `score_thr`, `nms` and `max_per_img`; without, all R boxes and scores.
            *args: As in mmdet's.
            **kwargs: As in mmdet's.
        """
        if rcnn_test_cfg is None or not len(roi):
            return super()._predict_by_feat_single(
                roi, *args, rcnn_test_cfg=rcnn_test_cfg, **kwargs
            )
        every = super()._predict_by_feat_single(roi, *args, rcnn_test_cfg=None, **kwargs)
        boxes, scores, labels = topk_multiclass_nms(
            every.bboxes,
            every.scores[:, :-1],
            rcnn_test_cfg.score_thr,
            rcnn_test_cfg.nms,
            rcnn_test_cfg.max_per_img,
        )
        return InstanceData(bboxes=boxes, scores=scores, labels=labels)


def class_weights(vocabulary: Vocabulary, background: float) -> list[float]:
    """Weights of the classification loss: 1 for what trains, 0 for novel classes.

    Args:
        vocabulary: K classes; without a split all of them train.
        background: Weight of the last column.

    Returns:
        K + 1 weights.
    """
    return [float(name not in vocabulary.novel) for name in vocabulary.classes] + [background]
