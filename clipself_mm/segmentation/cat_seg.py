"""CAT-Seg in mmseg: an encoder-decoder that segments any classes."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from mmengine.config import ConfigDict
from mmengine.registry import MODELS
from mmengine.structures import PixelData
from mmseg.models.segmentors import EncoderDecoder
from mmseg.structures import SegDataSample
from torch import Tensor

from clipself_mm.models import check_normalisation

from .label_map import as_annotated, label_map, resize_logits


@MODELS.register_module()
class CATSeg(EncoderDecoder):
    """Open-vocabulary segmentor on a CLIP tower (Cho et al. 2023, arXiv 2303.11797).

    Trains as any `EncoderDecoder`. Predictions are probabilities, each class's for itself: those of
    overlapping windows are averaged and then, as in the method, with those of the whole image
    squeezed into one window, half and half.

    Beside mmseg's, `test_cfg` has `with_whole` (default True; slide mode only) and `keep_logits`
    (default True): whether samples bring `seg_logits`, here the probabilities, at the size of the
    image. Without, hundreds of classes on large images fit into memory.

    Args:
        **kwargs: As in mmseg's `EncoderDecoder`: a `CATSegBackbone`, a `CATSegHead`, and a
            `data_preprocessor` that normalises as the tower was trained. A head without text of its
            own takes the text tower of the backbone's CLIP.

    Raises:
        ValueError: The normalisation is another than the tower's, or the text is to be fine-tuned
            and neither backbone nor head names a checkpoint.
    """

    def __init__(self, **kwargs: object) -> None:
        super().__init__(**kwargs)
        check_normalisation(self.data_preprocessor, self.backbone.tower, white=255)
        prompts = self.decode_head.prompts
        prompts.use_clip_of(self.backbone.tower, 'model.decode_head.text')
        if prompts.trains and prompts.tower is None:
            raise ValueError(
                "decode_head.finetune='attention' trains a text tower, and there is none: give "
                "the backbone's tower a checkpoint, or decode_head `text` or finetune='none'"
            )
        self.test_cfg = ConfigDict(dict(mode='whole') | dict(self.test_cfg or {}))

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes of prediction, in the order of their labels."""
        return self.decode_head.classes

    @property
    def train_classes(self) -> tuple[str, ...]:
        """The classes of training, in the order of their labels."""
        return self.decode_head.train_classes

    def set_vocabulary(self, classes: Sequence[str]) -> None:
        """Look for these classes from now on; training keeps its own.

        Args:
            classes: K names, two or more; label i is `classes[i]`.

        Raises:
            ValueError: There are fewer, or one is empty or doubled or cannot be encoded, for lack
                of a text tower; the vocabulary stays as it was.
        """
        self.decode_head.set_classes(classes)
        self.num_classes = self.out_channels = len(self.classes)

    def encode_decode(self, inputs: Tensor, batch_img_metas: list[dict]) -> Tensor:
        """Probabilities of a window or an image, (N, 3, H, W) -> (N, K, H, W)."""
        logits = self.decode_head(self.extract_feat(inputs))
        return resize_to(logits, inputs.shape[-2:]).sigmoid()

    def slide_inference(self, inputs: Tensor, batch_img_metas: list[dict]) -> Tensor:
        """Windows, averaged where they overlap, and the whole image; shapes as `encode_decode`."""
        windows = super().slide_inference(inputs, batch_img_metas)
        if not self.test_cfg.get('with_whole', True):
            return windows
        view = resize_to(inputs, self.test_cfg.crop_size)
        whole = self.encode_decode(view, batch_img_metas)
        return windows.add_(resize_to(whole, inputs.shape[-2:])).div_(2)

    def postprocess_result(
        self, seg_logits: Tensor, data_samples: list[SegDataSample] | None = None
    ) -> list[SegDataSample]:
        """Labels in the frame of the original images.

        Args:
            seg_logits: Probabilities, shape (N, K, H, W).
            data_samples: N samples whose metainfo says padding, flip and `ori_shape`.

        Returns:
            The samples with `pred_sem_seg`, shape (1, H, W), and perhaps `seg_logits`, (K, H, W).
        """
        if data_samples is None:
            data_samples = [SegDataSample() for _ in seg_logits]
        for scores, sample in zip(seg_logits, data_samples, strict=True):
            scores = as_annotated(scores, sample.metainfo)
            size = tuple(sample.metainfo.get('ori_shape', scores.shape[-2:]))[:2]
            if self.test_cfg.get('keep_logits', True):
                scores = resize_logits(scores, size)
                sample.seg_logits = PixelData(data=scores)
            sample.pred_sem_seg = PixelData(data=label_map(scores, size)[0][None])
        return data_samples


def resize_to(maps: Tensor, size: Sequence[int]) -> Tensor:
    """Bilinear resize of maps (N, C, h, w) to (height, width), in single precision."""
    size = tuple(size)
    if size == tuple(maps.shape[-2:]):
        return maps.float()
    return F.interpolate(maps.float(), size=size, mode='bilinear', align_corners=False)
