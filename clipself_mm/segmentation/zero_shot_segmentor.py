"""Segmentation without training: the dense map of a frozen CLIP against class embeddings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from mmengine.config import ConfigDict
from mmengine.registry import MODELS
from mmengine.structures import PixelData
from mmseg.models.segmentors import EncoderDecoder
from mmseg.structures import SegDataSample
from torch import Tensor

from clipself_mm.clip.exemplar_embedding import ExemplarEmbedding
from clipself_mm.models import (
    FrozenModel,
    check_normalisation,
    name_classes,
    pad_right_below,
    read_test_cfg,
    round_up,
)

from .upsample_argmax import resize_logits, undo_padding_and_flip, upsample_argmax

_TEST = dict(mode='whole', background=None, prob_thr=None, keep_logits=True)


def segment_test_cfg(given: Mapping | None, classes: Sequence[str]) -> ConfigDict:
    """Complete and check `test_cfg`; mmseg itself checks `mode`, `crop_size` and `stride`.

    Args:
        given: `test_cfg` of `ZeroShotSegmentor`.
        classes: The classes, to look up `background`.

    Returns:
        The settings; `background` is a label or None.

    Raises:
        ValueError: A setting is unknown, or `background` and `prob_thr` do not fit.
    """
    settings = read_test_cfg(given, _TEST, optional=('crop_size', 'stride'))
    background, threshold = settings['background'], settings['prob_thr']
    if (background is None) != (threshold is None):
        raise ValueError(
            'test_cfg: expected background and prob_thr together, '
            f'got background {background!r} and prob_thr {threshold!r}'
        )
    if background is not None:
        if not 0 <= threshold <= 1:
            raise ValueError(f'test_cfg.prob_thr: expected a probability 0..1, got {threshold}')
        names = dict(zip(classes, range(len(classes)), strict=True))
        label = names.get(background, background)
        if not isinstance(label, int) or not 0 <= label < len(classes):
            raise ValueError(
                f'test_cfg.background: expected one of the {len(classes)} classes or a label, got '
                f'{background!r}'
            )
        settings['background'] = label
    return settings


@MODELS.register_module()
class ZeroShotSegmentor(FrozenModel, EncoderDecoder):
    """Labels each pixel with the class whose embedding is nearest to the dense feature.

    Evaluates dense features at pixel level without training (section 4.3 of the paper trains
    CAT-Seg instead). Logits at token resolution are resized bilinearly to the image. Images are
    padded with black to whole patches, as in distillation, and the padding is cut off again.

    Args:
        tower: Config of the `VisionTower`; it is frozen.
        test_cfg: `mode`: 'whole', or 'slide' with `crop_size` and `stride` (height, width in
            pixels; logits of overlapping windows are averaged). `background`: name or label of the
            class for pixels whose best probability is below `prob_thr`. `keep_logits`: whether
            samples get `seg_logits` (needed for mmseg's test-time augmentation); False saves
            memory with many classes and large images.
        **kwargs: As in mmseg's `EncoderDecoder`, with a `DenseTextHead` as `decode_head` and a
            `data_preprocessor` that normalises as in the tower's training.

    Raises:
        ValueError: `test_cfg` is wrong, or the normalisation is not the tower's.
    """

    def __init__(self, tower: dict, test_cfg: Mapping | None = None, **kwargs: object) -> None:
        super().__init__(backbone=tower, **kwargs)
        check_normalisation(self.data_preprocessor, self.backbone, max_value=255)
        self.backbone.freeze()
        self.freeze()
        self.decode_head.text.use_clip_of(self.backbone, 'model.decode_head.text')
        self._given_test_cfg = test_cfg
        self.test_cfg = segment_test_cfg(test_cfg, self.classes)

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes; label i is `classes[i]`."""
        return self.decode_head.classes

    def set_vocabulary(
        self, classes: Sequence[str], exemplars: Mapping[str, ExemplarEmbedding] | None = None
    ) -> None:
        """Change the classes.

        Args:
            classes: K names; label i is `classes[i]`.
            exemplars: Pictures of some of them, by name; by default none.

        Raises:
            ValueError: There is no name, a name is empty or occurs twice, `test_cfg.background` is
                not among them, or there is no text tower to encode one. The vocabulary stays as it
                was.
        """
        classes = name_classes(classes).classes
        test_cfg = segment_test_cfg(self._given_test_cfg, classes)
        self.decode_head.set_classes(classes, exemplars)
        self.test_cfg = test_cfg
        self.num_classes = self.out_channels = len(self.classes)

    def extract_feat(self, inputs: Tensor) -> Tensor:
        """Dense map of images of any size.

        Args:
            inputs: Normalised, shape (N, 3, H, W).

        Returns:
            Shape (N, D, h, w); h and w are H and W in patches, rounded up.
        """
        black = -self.data_preprocessor.mean / self.data_preprocessor.std
        height, width = (round_up(side, self.backbone.patch_size) for side in inputs.shape[-2:])
        return self.backbone.encode_dense(pad_right_below(list(inputs), height, width, black))

    def encode_decode(self, inputs: Tensor, batch_img_metas: list[dict]) -> Tensor:
        """Logits for windows or images, (N, 3, H, W) -> (N, K, H, W)."""
        height, width = inputs.shape[-2:]
        logits = self.decode_head(self.extract_feat(inputs))
        size = [self.backbone.patch_size * side for side in logits.shape[-2:]]
        return torch.stack([resize_logits(each, size)[:, :height, :width] for each in logits])

    def postprocess_result(
        self, seg_logits: Tensor, data_samples: list[SegDataSample] | None = None
    ) -> list[SegDataSample]:
        """Labels in the frame of the original images.

        Args:
            seg_logits: Shape (N, K, H, W).
            data_samples: N samples with padding, flip and `ori_shape` in their metainfo.

        Returns:
            The samples with `pred_sem_seg`, shape (1, H, W), and, if `test_cfg.keep_logits`,
            `seg_logits`, shape (K, H, W).
        """
        if data_samples is None:
            data_samples = [SegDataSample() for _ in seg_logits]
        for logits, sample in zip(seg_logits, data_samples, strict=True):
            logits = undo_padding_and_flip(logits, sample.metainfo)
            size = tuple(sample.metainfo.get('ori_shape', logits.shape[-2:]))[:2]
            if self.test_cfg.keep_logits:
                logits = resize_logits(logits, size)
                sample.seg_logits = PixelData(data=logits)
            labels, probability = upsample_argmax(logits, size)
            if self.test_cfg.background is not None:
                labels[probability < self.test_cfg.prob_thr] = self.test_cfg.background
            sample.pred_sem_seg = PixelData(data=labels[None])
        return data_samples
