"""Panoptic segmentation by a mask generator whose queries CLIP's dense map classifies too."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from mmdet.models.detectors import BaseDetector, MaskFormer
from mmdet.structures import SampleList
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
    alpha=0.35,  # ODISE's caption model; its label model has 0.3 and 0.7
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
    """Masks by any mmdet MaskFormer, classes by it and by CLIP (paper, section 4.3, Table 6).

    Each query's mask pools the dense map of a frozen tower, which sees the same image in a size of
    its own; cosines with the classes' text make p_clip. p_pred is the generator's, given an object.
    The score of a class is p_pred^(1 - w) * p_clip^w, renormalised over the classes, times the
    probability of an object; w is `alpha` for classes the generator was trained on and `beta` for
    others. mmdet's `MaskFormerFusionHead` makes segments of it. All is frozen, nothing trains.

    A `TextMask2Former` scores the classes of the vocabulary by text. Any other generator is closed:
    it scores a class of the vocabulary by those of its own that are named alike or listed in
    `matches`, whose probabilities add up. A class of which a closed generator knows nothing
    has p_clip alone as its score (w is 1) before the renormalisation.

    Args:
        generator: Config of a MaskFormer or Mask2Former of mmdet, or the file of one
            (``mmdet::mask2former/....py``, or a path), of which `model` is read.
        tower: Config of the `VisionTower`.
        vocabulary: Classes to segment, as `find_panoptic_vocabulary` takes them.
        seen: Classes of a closed generator in the order of its labels, likewise. A
            `TextMask2Former` says them itself.
        generator_checkpoint: File or URL of the generator's weights, as mmdet trains them.
        matches: Class of the vocabulary to classes of a closed generator, see `match_classes`.
        embeddings: File of class embeddings, see `TextEmbeddings`.
        text: Arguments of `TextTower`, see `TextEmbeddings`; without, the tower's own CLIP.
        tower_size: Longest side of what the tower sees, in pixels; None for its training size.
        test_cfg: `score` ('fused', 'clip' or 'pred'), `alpha`, `beta`, `temperature` of CLIP's
            cosines, `mask_threshold` (None pools by the mask's probabilities, a number by the
            pixels above it); `panoptic_on`, `instance_on`, `semantic_on`: which results are made;
            `max_per_image`, `object_mask_thr`, `iou_thr`, `filter_low_score`: as mmdet's
            `MaskFormerFusionHead` takes them.
        data_preprocessor: The generator's, if left out.
        init_cfg: As in every mm module.

    Raises:
        ValueError: `test_cfg`, vocabularies or checkpoint do not fit.
        TypeError: The generator is no MaskFormer.
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
                f'generator is a MaskFormer of mmdet, got {type(self.generator).__name__}'
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
        words = find_panoptic_vocabulary(vocabulary)
        self.text = TextEmbeddings(words.classes, embeddings, text, words.synonyms)
        self.text.use_clip_of(self.tower, 'model.text')
        self._use(words, matches, new=False)

    def _find_seen(self, given: str | Mapping | None) -> Vocabulary:
        if self.is_open:
            if given is not None:
                raise ValueError(
                    f'{type(self.generator).__name__} says itself what it was trained on: leave '
                    '`seen` out'
                )
            return self.generator.panoptic_head.train_words
        if given is None:
            raise ValueError(
                f'`seen` names the classes of {type(self.generator).__name__}, which has no '
                'vocabulary: give the type of its data set (CocoPanopticDataset) or a file'
            )
        words = find_panoptic_vocabulary(given)
        if len(words.classes) != self.generator.num_classes:
            raise ValueError(
                f'`seen` ({words.name}) has {len(words.classes)} classes, the generator '
                f'{self.generator.num_classes}'
            )
        return words

    def _use(self, words: Vocabulary, matches: Mapping | None, new: bool) -> None:
        """Segment these classes from now on."""
        if self.is_open:
            table = torch.eye(len(words.classes), device='cpu')
        else:
            table = match_classes(words.classes, self.seen.classes, matches)
        trained = set(self.seen.classes)
        known = table.any(dim=1)
        named = torch.tensor([name in trained for name in words.classes], device='cpu')
        seen = named if self.is_open else known
        if self.test_cfg.score == 'pred' and not known.any():
            raise ValueError(
                f'score is pred, but the generator knows none of the {len(words.classes)} classes '
                f'of vocabulary {words.name}: {list(words.classes)[:5]}'
            )
        if self.is_open:
            self.generator.set_vocabulary(words, new)
        self.text.set_classes(words.classes, new)
        self.words = words
        self._matches = table
        self._weights = exponents(seen, known, self.test_cfg.alpha, self.test_cfg.beta)
        things = len(words.things)
        most = self.generator.panoptic_head.num_queries * len(words.classes)
        limits = dict(self.test_cfg, max_per_image=min(self.test_cfg.max_per_image, most))
        self.panoptic_fusion_head = MODELS.build(
            dict(
                type='mmdet.MaskFormerFusionHead',
                num_things_classes=things,
                num_stuff_classes=len(words.classes) - things,
                test_cfg=ConfigDict(limits),
            )
        )

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes, in the order of their labels."""
        return self.words.classes

    def set_vocabulary(
        self, vocabulary: str | Mapping | Vocabulary, matches: Mapping | None = None
    ) -> None:
        """Segment these classes from now on.

        Args:
            vocabulary: As `find_panoptic_vocabulary` takes them, for instance
                `dict(things=[...], stuff=[...])`.
            matches: As for the constructor, whose own count no more.

        Raises:
            ValueError: A name is empty or doubled or cannot be encoded, for lack of a text tower,
                there is none, or `matches` does not fit.
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
            The samples with `pred_panoptic_seg`, `pred_instances` and `pred_sem_seg`, those that
            `test_cfg` switches on.
        """
        feats = self.extract_feat(batch_inputs)
        logits, masks = self.generator.panoptic_head.predict(feats, batch_data_samples)
        for index, sample in enumerate(batch_data_samples):
            height, width = sample.metainfo['img_shape'][:2]
            own = masks[index, :, :height, :width]
            scores = self.score(batch_inputs[index, :, :height, :width], logits[index], own)
            size = sample.metainfo['ori_shape'][:2] if rescale else (height, width)
            self._add(sample, scores, own, tuple(size))
        return batch_data_samples

    def score(self, image: Tensor, logits: Tensor, masks: Tensor) -> Tensor:
        """Probabilities of the queries of one image.

        Args:
            image: Normalised for the generator, without padding, shape (3, H, W).
            logits: The generator's of classes and no object, shape (Q, G + 1).
            masks: Mask logits in the frame of the image, shape (Q, H, W).

        Returns:
            Of the K classes and no object, shape (Q, K + 1).
        """
        predicted, objectness = split_objectness(logits)
        predicted = predicted @ self._matches.to(predicted).T
        kind, clip = self.test_cfg.score, None
        if kind != 'pred':
            padded, size = self.tower_images(image)
            dense = self.tower.encode_dense(padded)
            shares = masks.sigmoid()
            if self.test_cfg.mask_threshold is not None:
                shares = shares > self.test_cfg.mask_threshold
            weights = masks_on_tokens(shares, dense.shape[-2:], size)
            clip = clip_scores(dense, weights, self.text.table, self.test_cfg.temperature)
        return query_scores(predicted, clip, objectness, self._weights.to(predicted), kind)

    def _add(self, sample: object, scores: Tensor, masks: Tensor, size: tuple[int, int]) -> None:
        """Give a sample its results, by mmdet's rules, in a frame of some size."""
        cfg, head = self.test_cfg, self.panoptic_fusion_head
        if not (cfg.instance_on or cfg.semantic_on):  # then the others take memory for nothing
            kept = scores.argmax(dim=-1) < len(self.classes)
            scores, masks = scores[kept], masks[kept]
        if tuple(masks.shape[1:]) != size and len(masks):
            masks = F.interpolate(masks[:, None], size, mode='bilinear', align_corners=False)[:, 0]
        elif not len(masks):
            masks = masks.new_zeros(0, *size)
        logits = scores.clamp_min(1e-30).log()  # mmdet's softmax gives the scores back
        if cfg.panoptic_on:
            sample.pred_panoptic_seg = head.panoptic_postprocess(logits, masks)
        if cfg.instance_on:
            sample.pred_instances = head.instance_postprocess(logits, masks)
        if cfg.semantic_on:
            labels = semantic_labels(scores[:, :-1], masks)
            sample.pred_sem_seg = PixelData(sem_seg=labels[None])

    def _forward(self, batch_inputs: Tensor, batch_data_samples: SampleList) -> tuple:
        """The generator's raw outputs, as mmdet's `MaskFormer` gives them."""
        return self.generator._forward(batch_inputs, batch_data_samples)


def fusion_test_cfg(given: Mapping | None) -> ConfigDict:
    """Complete and check the test settings of `FusedPanopticSegmentor`.

    Raises:
        ValueError: A setting is unknown or out of range.
    """
    settings = read_test_cfg(given, _TEST)
    if settings.score not in ('fused', 'clip', 'pred'):
        raise ValueError(f"test_cfg.score is 'fused', 'clip' or 'pred', got {settings.score!r}")
    shares = [settings.alpha, settings.beta, settings.object_mask_thr, settings.iou_thr]
    if not all(0 <= share <= 1 for share in shares):
        raise ValueError(
            f'test_cfg: alpha, beta, object_mask_thr and iou_thr are within 0..1, got {shares}'
        )
    return settings
