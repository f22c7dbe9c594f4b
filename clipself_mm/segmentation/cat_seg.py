"""CAT-Seg as an open-vocabulary `EncoderDecoder` of mmseg."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch.nn.functional as F
from mmengine.config import ConfigDict
from mmengine.registry import MODELS
from mmengine.structures import PixelData
from mmseg.models.segmentors import EncoderDecoder
from mmseg.structures import SegDataSample
from torch import Tensor

from clipself_mm.clip.exemplar_embedding import ExemplarEmbedding
from clipself_mm.models import check_normalisation

from .upsample_argmax import resize_logits, undo_padding_and_flip, upsample_argmax


@MODELS.register_module()
class CATSeg(EncoderDecoder):
    """Open-vocabulary segmentor on a CLIP tower (Cho et al. 2023, arXiv 2303.11797).

    Predictions are per-class sigmoid probabilities. In slide mode they are averaged over
    overlapping windows; the result is averaged with the prediction for the whole image, resized to
    one window.

    `test_cfg` has two keys more than mmseg's: `with_whole` (default True; slide mode only) and
    `keep_logits` (default True), which stores the probabilities at image size as `seg_logits`.
    `keep_logits=False` saves memory with many classes and large images.

    Args:
        **kwargs: As in mmseg's `EncoderDecoder`, with a `CATSegBackbone`, a `CATSegHead`, and a
            `data_preprocessor` that normalises as in the tower's training. A head without `text`
            or `embeddings` uses the text tower of the backbone's CLIP.

    Raises:
        ValueError: The normalisation is not the tower's, or the text tower trains and neither
            backbone nor head names a checkpoint.
    """

    def __init__(self, **kwargs: object) -> None:
        super().__init__(**kwargs)
        check_normalisation(self.data_preprocessor, self.backbone.tower, max_value=255)
        prompts = self.decode_head.prompts
        prompts.use_clip_of(self.backbone.tower, 'model.decode_head.text')
        if prompts.trains and prompts.tower is None:
            raise ValueError(
                "decode_head.finetune='attention' needs a text tower, found none: set the "
                "checkpoint of backbone.tower, decode_head.text, or decode_head.finetune='none'"
            )
        self.test_cfg: ConfigDict = ConfigDict(dict(mode='whole') | dict(self.test_cfg or {}))

    @property
    def classes(self) -> tuple[str, ...]:
        """Test classes; label i is `classes[i]`."""
        return self.decode_head.classes

    @property
    def train_classes(self) -> tuple[str, ...]:
        """Training classes; label i is `train_classes[i]`."""
        return self.decode_head.train_classes

    def set_vocabulary(
        self, classes: Sequence[str], exemplars: Mapping[str, ExemplarEmbedding] | None = None
    ) -> None:
        """Change the test classes; the training classes stay.

        Args:
            classes: K names, two or more; label i is `classes[i]`.
            exemplars: Pictures of some of them, by name; by default none.

        Raises:
            ValueError: There are fewer than two names, a name is empty or occurs twice, or there is
                no text tower to encode one. The vocabulary stays as it was.
        """
        self.decode_head.set_classes(classes, exemplars)
        self.num_classes = self.out_channels = len(self.classes)

    def encode_decode(self, inputs: Tensor, batch_img_metas: list[dict]) -> Tensor:
        """Probabilities for windows or images, (N, 3, H, W) -> (N, K, H, W)."""
        logits = self.decode_head(self.extract_feat(inputs))
        return resize_to(logits, inputs.shape[-2:]).sigmoid()

    def slide_inference(self, inputs: Tensor, batch_img_metas: list[dict]) -> Tensor:
        """Mean of the sliding-window and the whole-image prediction; shapes as `encode_decode`."""
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
            data_samples: N samples with padding, flip and `ori_shape` in their metainfo.

        Returns:
            The samples with `pred_sem_seg`, shape (1, H, W), and, if `test_cfg.keep_logits`,
            `seg_logits`, shape (K, H, W).
        """
        if data_samples is None:
            data_samples = [SegDataSample() for _ in seg_logits]
        for scores, sample in zip(seg_logits, data_samples, strict=True):
            scores = undo_padding_and_flip(scores, sample.metainfo)
            size = tuple(sample.metainfo.get('ori_shape', scores.shape[-2:]))[:2]
            if self.test_cfg.get('keep_logits', True):
                scores = resize_logits(scores, size)
                sample.seg_logits = PixelData(data=scores)
            sample.pred_sem_seg = PixelData(data=upsample_argmax(scores, size)[0][None])
        return data_samples


def resize_to(maps: Tensor, size: Sequence[int]) -> Tensor:
    """Bilinear resize of maps (N, C, h, w) to (height, width), float32."""
    size = tuple(size)
    if size == tuple(maps.shape[-2:]):
        return maps.float()
    return F.interpolate(maps.float(), size=size, mode='bilinear', align_corners=False)
