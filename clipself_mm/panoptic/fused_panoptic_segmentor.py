"""Panoptic segmentation by a mask generator whose scores are fused with those of CLIP."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from mmdet.models.detectors import BaseDetector, MaskFormer
from mmdet.structures import DetDataSample, SampleList
from mmengine.config import ConfigDict
from mmengine.registry import MODELS
from mmengine.structures import PixelData
from torch import Tensor, nn

from clipself_mm.clip import TextEmbeddings
from clipself_mm.datasets import Vocabulary
from clipself_mm.models import FrozenModel, read_test_cfg

from .generator_source import load_generator, read_generator
from .panoptic_vocabulary import find_panoptic_vocabulary
from .query_scores import (
    clip_scores,
    exponents,
    masks_on_tokens,
    match_classes,
    query_scores,
    semantic_labels,
    split_objectness,
)
from .tower_images import TowerImages

_TEST = dict(
    score='fused',
    alpha=0.35,  # as ODISE's caption model; its label model uses 0.3 and 0.7
    beta=0.65,
    temperature=100.0,
    mask_threshold=None,
    panoptic_on=True,
    instance_on=True,
    semantic_on=False,
    max_per_image=100,
    object_mask_thr=0.0,
    iou_thr=0.8,
    filter_low_score=True,
)


@MODELS.register_module()
class FusedPanopticSegmentor(FrozenModel, BaseDetector):
    """Masks of an mmdet MaskFormer, scores of it and of CLIP (paper, section 4.3, Table 6).

    p_clip: the mask of a query pools the dense map of a frozen tower; softmax over cosines with the
    class embeddings. p_pred: probabilities of the generator, given an object. The score of a class
    is p_pred^(1 - w) * p_clip^w, renormalised over the classes, times the probability of an object;
    w is `alpha` for classes that the generator was trained on, `beta` for the others. mmdet's
    `MaskFormerFusionHead` makes segments from masks and scores. All weights are frozen.

    A `TextMask2Former` classifies by text and scores any vocabulary. Any other generator is closed:
    p_pred of a class is the sum over the generator's classes of the same name or listed in
    `matches`. A class without any has w = 1, so its score before renormalisation is p_clip.

    Args:
        generator: Config of a MaskFormer or Mask2Former of mmdet, or a config file
            (``mmdet::mask2former/....py``, or a path) whose `model` is used.
        tower: Config of the `VisionTower`.
        vocabulary: Classes to segment, see `find_panoptic_vocabulary`.
        seen: Classes of a closed generator in label order, see `find_panoptic_vocabulary`. None
            for a `TextMask2Former`, which has its own vocabulary.
        generator_checkpoint: File or URL of the generator's weights in mmdet's format.
        matches: Class of the vocabulary to classes of a closed generator, see `match_classes`.
        embeddings: File of class embeddings, see `TextEmbeddings`.
        text: Arguments of `TextTower`, see `TextEmbeddings`; the tower's CLIP by default.
        tower_size: Longest side of the tower's input in pixels; None for its training size.
        test_cfg: `score` ('fused', 'clip' or 'pred'), `alpha`, `beta`, `temperature` of CLIP's
            cosines; `mask_threshold`: None pools with mask probabilities as weights, a number
            pools the pixels above it; `panoptic_on`, `instance_on`, `semantic_on`: which results
            are returned; `max_per_image`, `object_mask_thr`, `iou_thr`, `filter_low_score`: as in
            mmdet's `MaskFormerFusionHead`.
        data_preprocessor: That of the generator by default.
        init_cfg: As in mmengine's `BaseModule`.

    Raises:
        ValueError: `test_cfg`, a vocabulary or the checkpoint is wrong.
        TypeError: The generator is not a MaskFormer.
    """

    def __init__(
        self,
        generator: Mapping | str,
        tower: Mapping,
        vocabulary: str | Mapping,
        seen: str | Mapping | None = None,
        generator_checkpoint: str | None = None,
        matches: Mapping | None = None,
        embeddings: str | None = None,
        text: Mapping | None = None,
        tower_size: int | None = None,
        test_cfg: Mapping | None = None,
        data_preprocessor: Mapping | nn.Module | None = None,
        init_cfg: Mapping | None = None,
    ) -> None:
        settings = read_generator(generator)
        super().__init__(data_preprocessor or settings.get('data_preprocessor'), init_cfg)
        self.generator = MODELS.build(settings)
        if not isinstance(self.generator, MaskFormer):
            raise TypeError(
                f'generator: expected a MaskFormer of mmdet, got {type(self.generator).__name__}'
            )
        if generator_checkpoint is not None:
            load_generator(self.generator, generator_checkpoint)
        self.tower = MODELS.build(tower)
        self.tower.freeze()
        self.freeze()
        self.test_cfg = fusion_test_cfg(test_cfg)
        self.tower_images = TowerImages(self.data_preprocessor, self.tower, tower_size)
        self.is_open = hasattr(self.generator, 'set_vocabulary')
        self.seen = self._find_seen(seen)
        found = find_panoptic_vocabulary(vocabulary)
        self.text = TextEmbeddings(found.classes, embeddings, text, found.synonyms)
        self.text.use_clip_of(self.tower, 'model.text')
        self._use(found, matches, new=False)

    def _find_seen(self, given: str | Mapping | None) -> Vocabulary:
        if self.is_open:
            if given is not None:
                raise ValueError(
                    f'`seen`: a {type(self.generator).__name__} has its own vocabulary of '
                    'training, expected None: remove `seen`'
                )
            return self.generator.panoptic_head.train_vocabulary
        if given is None:
            raise ValueError(
                f'`seen`: expected the classes of {type(self.generator).__name__}, got None: give '
                'the type of its data set (CocoPanopticDataset) or a file'
            )
        seen = find_panoptic_vocabulary(given)
        if len(seen.classes) != self.generator.num_classes:
            raise ValueError(
                f'`seen` ({seen.name}) has {len(seen.classes)} classes, the generator has '
                f'{self.generator.num_classes}'
            )
        return seen

    def _use(self, vocabulary: Vocabulary, matches: Mapping | None, new: bool) -> None:
        """Change the classes; `new` as in `TextEmbeddings.set_classes`."""
        classes = vocabulary.classes
        if self.is_open:
            table = torch.eye(len(classes), device='cpu')
        else:
            table = match_classes(classes, self.seen.classes, matches)
        trained = set(self.seen.classes)
        known = table.any(dim=1)
        named = torch.tensor([name in trained for name in classes], device='cpu')
        seen = named if self.is_open else known
        if self.test_cfg.score == 'pred' and not known.any():
            raise ValueError(
                f"test_cfg.score='pred': the generator has none of the {len(classes)} classes of "
                f'vocabulary {vocabulary.name}: {list(classes)[:5]}'
            )
        if self.is_open:
            self.generator.set_vocabulary(vocabulary, new)
        self.text.set_classes(classes, new)
        self.vocabulary = vocabulary
        self._matches = table
        self._weights = exponents(seen, known, self.test_cfg.alpha, self.test_cfg.beta)
        things = len(vocabulary.things)
        most = self.generator.panoptic_head.num_queries * len(classes)
        limits = dict(self.test_cfg, max_per_image=min(self.test_cfg.max_per_image, most))
        self.panoptic_fusion_head = MODELS.build(
            dict(
                type='mmdet.MaskFormerFusionHead',
                num_things_classes=things,
                num_stuff_classes=len(classes) - things,
                test_cfg=ConfigDict(limits),
            )
        )

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes; label i is `classes[i]`."""
        return self.vocabulary.classes

    def set_vocabulary(
        self, vocabulary: str | Mapping | Vocabulary, matches: Mapping | None = None
    ) -> None:
        """Change the classes.

        Args:
            vocabulary: See `find_panoptic_vocabulary`, for example
                `dict(things=[...], stuff=[...])`.
            matches: As for the constructor; replaces those given there.

        Raises:
            ValueError: There is no name, a name is empty or occurs twice, there is no text tower
                to encode one, or `matches` is wrong.
        """
        self._use(find_panoptic_vocabulary(vocabulary), matches, new=True)

    def extract_feat(self, batch_inputs: Tensor) -> tuple[Tensor, ...]:
        """The generator's maps of images (N, 3, H, W)."""
        return self.generator.extract_feat(batch_inputs)

    @torch.no_grad()
    def predict(
        self, batch_inputs: Tensor, batch_data_samples: SampleList, rescale: bool = True
    ) -> SampleList:
        """Segment images.

        Args:
            batch_inputs: Normalised for the generator, shape (N, 3, H, W).
            batch_data_samples: N samples with `img_shape`, `ori_shape`, `batch_input_shape`.
            rescale: Whether results are in the frame of the original images.

        Returns:
            The samples with those of `pred_panoptic_seg`, `pred_instances` and `pred_sem_seg` that
            `test_cfg` switches on.
        """
        feats = self.extract_feat(batch_inputs)
        logits, masks = self.generator.panoptic_head.predict(feats, batch_data_samples)
        for index, sample in enumerate(batch_data_samples):
            height, width = sample.metainfo['img_shape'][:2]
            cropped = masks[index, :, :height, :width]
            scores = self.score(batch_inputs[index, :, :height, :width], logits[index], cropped)
            size = sample.metainfo['ori_shape'][:2] if rescale else (height, width)
            self._add(sample, scores, cropped, tuple(size))
        return batch_data_samples

    def score(self, image: Tensor, logits: Tensor, masks: Tensor) -> Tensor:
        """Probabilities of the queries of one image.

        Args:
            image: Normalised for the generator, without padding, shape (3, H, W).
            logits: Of the generator's G classes and no object, shape (Q, G + 1).
            masks: Mask logits in the frame of the image, shape (Q, H, W).

        Returns:
            Probabilities of the K classes and no object, shape (Q, K + 1).
        """
        predicted, objectness = split_objectness(logits)
        predicted = predicted @ self._matches.to(predicted).T
        kind, clip = self.test_cfg.score, None
        if kind != 'pred':
            padded, size = self.tower_images(image)
            dense = self.tower.encode_dense(padded)
            mask_probs = masks.sigmoid()
            if self.test_cfg.mask_threshold is not None:
                mask_probs = mask_probs > self.test_cfg.mask_threshold
            weights = masks_on_tokens(mask_probs, dense.shape[-2:], size)
            clip = clip_scores(dense, weights, self.text.table, self.test_cfg.temperature)
        return query_scores(predicted, clip, objectness, self._weights.to(predicted), kind)

    def _add(
        self, sample: DetDataSample, scores: Tensor, masks: Tensor, size: tuple[int, int]
    ) -> None:
        """Add results of size (height, width) to a sample, made by mmdet's fusion head."""
        cfg, head = self.test_cfg, self.panoptic_fusion_head
        if not (cfg.instance_on or cfg.semantic_on):  # only these use queries of no object
            kept = scores.argmax(dim=-1) < len(self.classes)
            scores, masks = scores[kept], masks[kept]
        if tuple(masks.shape[1:]) != size and len(masks):
            masks = F.interpolate(masks[:, None], size, mode='bilinear', align_corners=False)[:, 0]
        elif not len(masks):
            masks = masks.new_zeros(0, *size)
        logits = scores.clamp_min(1e-30).log()  # inverse of the softmax in mmdet's fusion head
        if cfg.panoptic_on:
            sample.pred_panoptic_seg = head.panoptic_postprocess(logits, masks)
        if cfg.instance_on:
            sample.pred_instances = head.instance_postprocess(logits, masks)
        if cfg.semantic_on:
            labels = semantic_labels(scores[:, :-1], masks)
            sample.pred_sem_seg = PixelData(sem_seg=labels[None])

    def _forward(self, batch_inputs: Tensor, batch_data_samples: SampleList) -> tuple:
        """Raw outputs of the generator, as `MaskFormer._forward` returns them."""
        return self.generator._forward(batch_inputs, batch_data_samples)


def fusion_test_cfg(given: Mapping | None) -> ConfigDict:
    """Complete and check `test_cfg` of `FusedPanopticSegmentor`.

    Raises:
        ValueError: A setting is unknown or out of range.
    """
    settings = read_test_cfg(given, _TEST)
    if settings.score not in ('fused', 'clip', 'pred'):
        raise ValueError(
            f"test_cfg.score: expected 'fused', 'clip' or 'pred', got {settings.score!r}"
        )
    for key in ('alpha', 'beta', 'object_mask_thr', 'iou_thr'):
        if not 0 <= settings[key] <= 1:
            raise ValueError(f'test_cfg.{key}: expected a number in 0..1, got {settings[key]}')
    return settings
