"""Segmentation without training: the dense map of a frozen CLIP, compared with class names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from mmengine.config import ConfigDict
from mmengine.registry import MODELS
from mmengine.structures import PixelData
from mmseg.models.segmentors import EncoderDecoder
from mmseg.structures import SegDataSample
from torch import Tensor

from clipself_mm.models import (
    FrozenModel,
    check_normalisation,
    name_classes,
    pad_right_below,
    read_test_cfg,
    round_up,
)

from .label_map import as_annotated, label_map, resize_logits

_TEST = dict(mode='whole', background=None, prob_thr=None, keep_logits=True)


def segment_test_cfg(given: Mapping | None, classes: Sequence[str]) -> ConfigDict:
    """Complete and check the test settings.

    Args:
        given: As `ZeroShotSegmentor` takes them.
        classes: The classes, among which `background` is looked up.

    Returns:
        The settings; `background` is a label or None.

    Raises:
        ValueError: A setting is unknown, missing or out of range.
    """
    settings = read_test_cfg(given, _TEST, optional=('crop_size', 'stride'))
    if settings['mode'] not in ('whole', 'slide'):
        raise ValueError(f"test_cfg.mode is 'whole' or 'slide', got {settings['mode']!r}")
    if settings['mode'] == 'slide':
        for key in ('crop_size', 'stride'):
            pair = settings.get(key)
            if not (isinstance(pair, Sequence) and len(pair) == 2 and min(pair) >= 1):
                raise ValueError(f'test_cfg.{key} is a height and a width in pixels, got {pair!r}')
        pairs = zip(settings['stride'], settings['crop_size'], strict=True)
        if any(step > side for step, side in pairs):
            raise ValueError(
                f'test_cfg.stride {settings["stride"]} is larger than crop_size '
                f'{settings["crop_size"]}: pixels between the windows would have no class'
            )
    background, threshold = settings['background'], settings['prob_thr']
    if (background is None) != (threshold is None):
        raise ValueError('test_cfg.background and test_cfg.prob_thr go together, give both')
    if background is not None:
        if not 0 <= threshold <= 1:
            raise ValueError(f'test_cfg.prob_thr is a probability, got {threshold}')
        names = dict(zip(classes, range(len(classes)), strict=True))
        label = names.get(background, background)
        if not isinstance(label, int) or not 0 <= label < len(classes):
            raise ValueError(
                f'test_cfg.background {background!r} is neither one of the {len(classes)} classes '
                'nor the label of one'
            )
        settings['background'] = label
    return settings


@MODELS.register_module()
class ZeroShotSegmentor(FrozenModel, EncoderDecoder):
    """Gives each pixel the class whose text is nearest to the tower's dense feature.

    The measure of dense features at pixel level (paper, section 4.3 has the trained counterpart).
    Cosines times a temperature at token resolution are brought to the image bilinearly. Windows,
    metrics and tools are mmseg's. Images of any size are filled to whole patches with black, as
    distillation fills them, and what was filled is cut off again.

    Args:
        tower: Config of the `VisionTower`; it is frozen.
        test_cfg: `mode`: 'whole', or 'slide' with `crop_size` and `stride` (height, width, pixels;
            the logits of overlapping windows are averaged). `background`: name or label of the
            class that takes the pixels whose best probability is below `prob_thr`. `keep_logits`:
            whether samples bring `seg_logits` (mmseg's test-time augmentation wants them); without
            them large images with many classes fit into memory.
        **kwargs: As in mmseg's `EncoderDecoder`: a `DenseTextHead` as `decode_head` and a
            `data_preprocessor` that normalises as the tower was trained.

    Raises:
        ValueError: `test_cfg` is wrong, or the normalisation is another than the tower's.
    """

    def __init__(self, tower: dict, test_cfg: Mapping | None = None, **kwargs: object) -> None:
        super().__init__(backbone=tower, **kwargs)
        check_normalisation(self.data_preprocessor, self.backbone, white=255)
        self.backbone.freeze()
        self.freeze()
        self.decode_head.text.use_clip_of(self.backbone, 'model.decode_head.text')
        self._configured = test_cfg
        self.test_cfg = segment_test_cfg(test_cfg, self.classes)

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes, in the order of their labels."""
        return self.decode_head.classes

    def set_vocabulary(self, classes: Sequence[str]) -> None:
        """Look for these classes from now on.

        Args:
            classes: K names; label i is `classes[i]`.

        Raises:
            ValueError: There is no name, one is empty or doubled, or the background class of
                `test_cfg` is not among them, or one cannot be encoded, for lack of a text tower;
                the vocabulary stays as it was.
        """
        classes = name_classes(classes).classes
        test_cfg = segment_test_cfg(self._configured, classes)
        self.decode_head.set_classes(classes)
        self.test_cfg = test_cfg
        self.num_classes = self.out_channels = len(self.classes)

    def extract_feat(self, inputs: Tensor) -> Tensor:
        """Dense map of images of any size.

        Args:
            inputs: Normalised, shape (N, 3, H, W).

        Returns:
            Shape (N, D, h, w), the sides in patches rounded up.
        """
        black = -self.data_preprocessor.mean / self.data_preprocessor.std
        sides = [round_up(side, self.backbone.patch_size) for side in inputs.shape[-2:]]
        return self.backbone.encode_dense(pad_right_below(inputs, *sides, black))

    def encode_decode(self, inputs: Tensor, batch_img_metas: list[dict]) -> Tensor:
        """Logits of a window or an image, (N, 3, H, W) -> (N, K, H, W)."""
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
            data_samples: N samples whose metainfo says padding, flip and `ori_shape`.

        Returns:
            The samples with `pred_sem_seg`, shape (1, H, W), and perhaps `seg_logits`, (K, H, W).
        """
        if data_samples is None:
            data_samples = [SegDataSample() for _ in seg_logits]
        for logits, sample in zip(seg_logits, data_samples, strict=True):
            logits = as_annotated(logits, sample.metainfo)
            size = tuple(sample.metainfo.get('ori_shape', logits.shape[-2:]))[:2]
            if self.test_cfg.keep_logits:
                logits = resize_logits(logits, size)
                sample.seg_logits = PixelData(data=logits)
            labels, probability = label_map(logits, size)
            if self.test_cfg.background is not None:
                labels[probability < self.test_cfg.prob_thr] = self.test_cfg.background
            sample.pred_sem_seg = PixelData(data=labels[None])
        return data_samples
