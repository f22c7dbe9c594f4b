"""Inference of an F-ViT by operators of ONNX, for one image of one size and any classes.

mmdet's code of prediction has lists, in-place writes and loops over images, which a trace cannot
follow, and its RoIAlign has no form for the opset of layer normalisation. Here the same steps are
written as one function of tensors: normalisation, tower, pyramid, RPN, proposals, pooling, the
heads of `FViTBBoxHead`, score fusion, NMS per class.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
import torch.nn.functional as F
from mmcv.ops import RoIAlign
from mmdet.models.roi_heads.roi_extractors import SingleRoIExtractor
from torch import Tensor, Value, nn
from torchvision.ops import batched_nms, roi_align

from .fvit import FViT
from .fvit_roi_head import FViTRoIHead
from .score_fusion import fuse_scores
from .square_data_preprocessor import SquareDataPreprocessor


class OnnxDetector(nn.Module):
    """An F-ViT as a function of image, size, class embeddings and split.

    The background, which is a word or learned, is a constant. Masks are left out.

    Args:
        model: The detector, in eval mode; it is not changed.
        size: (H, W) of the input in pixels, multiples of the preprocessor's `pad_size_divisor`.

    Raises:
        ValueError: `size` is not a multiple, or the model has a part of another kind than those of
            F-ViT's configs, see `unsupported`.
    """

    background: Tensor

    def __init__(self, model: FViT, size: tuple[int, int]) -> None:
        super().__init__()
        wrong = unsupported(model)
        if wrong:
            raise ValueError('this detector cannot be exported: ' + '; '.join(wrong))
        divisor = model.data_preprocessor.side_divisor
        if size[0] % divisor or size[1] % divisor:
            raise ValueError(f'size {size[0]} x {size[1]} is not a multiple of {divisor}')
        self.size = size
        self.preprocessor = model.data_preprocessor
        self.backbone = model.backbone
        self.neck = model.neck if model.with_neck else nn.Identity()
        self.rpn = model.rpn_head
        self.pyramid_pooling = model.roi_head.bbox_roi_extractor
        self.clip_pooling = model.roi_head.clip_roi_extractor
        self.test_cfg = model.test_cfg
        head = model.roi_head.bbox_head
        self.alpha, self.beta = float(head.alpha), float(head.beta)
        temperature = torch.as_tensor(head.fc_cls.temperature).item()
        self.temperatures = temperature, float(head.clip_temperature)
        self.register_buffer('background', head.fc_cls.table()[-1:].detach().float())
        self.head = copy.deepcopy(head)
        self.head.fc_cls = nn.Identity()  # the head returns the features of the classifier
        with torch.no_grad():
            scores, _ = self.rpn(self.neck(self.backbone(torch.zeros(1, 3, *size))))
        self.anchors = self.rpn.prior_generator.grid_priors(
            [level.shape[-2:] for level in scores], device='cpu'
        )

    def forward(
        self, image: Tensor, image_size: Tensor, embeddings: Tensor, novel: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Detect objects.

        Args:
            image: RGB in 0-255, at the left upper corner, shape (1, 3, H, W); what lies outside
                of `image_size` has no effect.
            image_size: (h, w) of the image in pixels, int64.
            embeddings: Class embeddings, shape (K, D).
            novel: Whether each class had no boxes in training, bool of shape (K).

        Returns:
            Boxes (xyxy in pixels of the input), scores and labels, best first, of shapes (M, 4),
            (M) and (M).
        """
        limits = image_size.flip(0).repeat(2).float()
        maps, dense = self.backbone.forward_with_dense(self.normalise(image, image_size))
        pyramid = self.neck(maps)
        rois = self.propose(pyramid, limits)
        rois, pooled = pool_levels(self.pyramid_pooling, pyramid, rois)
        features, deltas = self.head(pooled)
        _, clip_features = pool_levels(self.clip_pooling, [dense], rois)
        table = torch.cat([F.normalize(embeddings, dim=-1), self.background])
        detector, clip = (
            (factor * F.normalize(own, dim=-1) @ table.T).softmax(dim=-1)
            for factor, own in zip(
                self.temperatures, (features, clip_features.flatten(1)), strict=True
            )
        )
        weights = self.alpha + (self.beta - self.alpha) * novel.float()
        scores = fuse_scores(detector, clip, F.pad(weights, (0, 1), value=self.alpha))[:, :-1]
        boxes = clip_to(self.head.bbox_coder.decode(rois, deltas), limits)
        cfg = self.test_cfg.rcnn
        found = keep_best(boxes, scores.T, cfg.nms, cfg.score_thr, cfg.max_per_img)
        _, order = found[1].sort(descending=True)
        boxes, scores, labels = (item[order[: cfg.max_per_img]] for item in found)
        return boxes, scores, labels

    def normalise(self, image: Tensor, image_size: Tensor) -> Tensor:
        """Input of the tower: normalised, constant outside of the image."""
        if not self.preprocessor._channel_conversion:
            image = image.flip(1)
        rows, columns = (
            torch.arange(side) < own for side, own in zip(self.size, image_size, strict=True)
        )
        pixels = (image - self.preprocessor.mean) / self.preprocessor.std
        padding = pixels.new_tensor(float(self.preprocessor.pad_value))
        return torch.where(rows[:, None] & columns, pixels, padding)

    def propose(self, pyramid: Sequence[Tensor], limits: Tensor) -> Tensor:
        """Boxes of the RPN, shape (R, 4), as `RPNHead.predict`."""
        cfg = self.test_cfg.rpn
        boxes, scores = [], []
        for logits, deltas, anchors in zip(*self.rpn(pyramid), self.anchors, strict=True):
            logits = logits[0].permute(1, 2, 0).flatten()
            deltas = deltas[0].permute(1, 2, 0).reshape(-1, 4)
            count = min(cfg.get('nms_pre', 0), len(anchors))
            best, index = logits.sigmoid().topk(count if count > 0 else len(anchors))
            own = clip_to(self.rpn.bbox_coder.decode(anchors[index], deltas[index]), limits)
            sides = own[:, 2:] - own[:, :2]
            large = (sides.amin(dim=1) > cfg.get('min_bbox_size', -1)).nonzero()[:, 0]
            own, best, _ = keep_best(own[large], best[large][None], cfg.nms, -1.0, cfg.max_per_img)
            boxes.append(own)
            scores.append(best)
        _, order = torch.cat(scores).sort(descending=True)
        return torch.cat(boxes)[order[: cfg.max_per_img]]


def unsupported(model: nn.Module) -> list[str]:
    """What `OnnxDetector` does not do as the model does, as sentences with config keys."""
    if not isinstance(model, FViT):
        return [f'it is a {type(model).__name__}, not an FViT']
    if not isinstance(model.roi_head, FViTRoIHead):
        return [f'model.roi_head is a {type(model.roi_head).__name__}, not an FViTRoIHead']
    if not isinstance(model.data_preprocessor, SquareDataPreprocessor):
        name = type(model.data_preprocessor).__name__
        return [f'model.data_preprocessor is a {name}, not a SquareDataPreprocessor']
    rpn, head = model.rpn_head, model.roi_head.bbox_head
    found = []
    if model.backbone.dtype != torch.float32:
        found.append(
            f'model.backbone.dtype is {str(model.backbone.dtype).removeprefix("torch.")}: '
            'give --cfg-options model.backbone.dtype=float32, which reads the same weights'
        )
    if model.proposal_scorer is not None:
        found.append('model.proposal_scorer is set, which ONNX has no part for: set it to None')
    if not rpn.use_sigmoid_cls:
        found.append('model.rpn_head.loss_cls has no use_sigmoid')
    if not head.reg_class_agnostic:
        found.append('model.roi_head.bbox_head.reg_class_agnostic is False')
    for key in ('bbox_roi_extractor', 'clip_roi_extractor'):
        layers = getattr(model.roi_head, key).roi_layers
        if any(getattr(layer, 'pool_mode', None) != 'avg' for layer in layers):
            found.append(f'model.roi_head.{key}.roi_layer is no average RoIAlign')
    for key in ('rpn', 'rcnn'):
        nms = model.test_cfg[key].nms
        if nms.get('type', 'nms') != 'nms' or set(nms) - {'type', 'iou_threshold', 'split_thr'}:
            found.append(f'model.test_cfg.{key}.nms is {dict(nms)}')
        if model.test_cfg[key].max_per_img <= 0:
            found.append(f'model.test_cfg.{key}.max_per_img is not positive')
    return found


def clip_to(boxes: Tensor, limits: Tensor) -> Tensor:
    """Boxes of shape (R, 4) inside of 0 to `limits`, (w, h, w, h)."""
    return torch.minimum(boxes.clamp(min=0), limits)


def pool_levels(
    extractor: SingleRoIExtractor, levels: Sequence[Tensor], boxes: Tensor
) -> tuple[Tensor, Tensor]:
    """Pool each box from its level, as mmdet's `SingleRoIExtractor`.

    Args:
        extractor: The extractor, with mmcv's RoIAlign.
        levels: Maps of one image; those beyond the extractor's are not used.
        boxes: Shape (R, 4).

    Returns:
        The boxes in the order of their levels, and their features of shape (R, C, s, s).
    """
    layers = cast(Sequence[RoIAlign], extractor.roi_layers)
    rois = F.pad(boxes, (1, 0))
    if len(layers) == 1:
        of_level = [rois]
    else:
        numbers = extractor.map_roi_levels(rois, len(layers))
        of_level = [rois[(numbers == level).nonzero()[:, 0]] for level in range(len(layers))]
    pooled = [
        roi_align(
            level, own, layer.output_size, layer.spatial_scale, layer.sampling_ratio, layer.aligned
        )
        for layer, level, own in zip(layers, levels[: len(layers)], of_level, strict=True)
    ]
    return torch.cat(of_level)[:, 1:], torch.cat(pooled)


def keep_best(
    boxes: Tensor, scores: Tensor, nms: Mapping[str, Any], threshold: float, count: int
) -> tuple[Tensor, Tensor, Tensor]:
    """NMS per class.

    Args:
        boxes: Shape (R, 4).
        scores: Shape (K, R).
        nms: Config with `iou_threshold`.
        threshold: Lower or equal scores are ignored.
        count: Most boxes per class.

    Returns:
        Boxes, scores and labels, of shapes (M, 4), (M) and (M), not sorted.
    """
    label, region = ClassNMS.apply(
        boxes, scores, float(nms['iou_threshold']), threshold, count
    ).unbind(1)
    return boxes[region], scores.flatten()[label * scores.shape[1] + region], label


class ClassNMS(torch.autograd.Function):
    """ONNX's NonMaxSuppression: label and index of each box that is kept, shape (M, 2)."""

    @staticmethod
    def forward(
        ctx: object, boxes: Tensor, scores: Tensor, iou: float, threshold: float, count: int
    ) -> Tensor:
        """As the operator; `count` per class is not applied, for it is a bound only."""
        label, region = (scores > threshold).nonzero().unbind(1)
        kept = batched_nms(boxes[region], scores[label, region], label, iou)
        return torch.stack([label[kept], region[kept]], dim=1)

    @staticmethod
    def symbolic(
        g: Any,  # noqa: ANN401, torch's types of graphs are private
        boxes: Value,
        scores: Value,
        iou: float,
        threshold: float,
        count: int,
    ) -> Value:
        """The operator; it has a batch axis."""

        def constant(value: Tensor) -> Value:
            return g.op('Constant', value_t=value)

        first = constant(torch.tensor([0]))
        found = g.op(
            'NonMaxSuppression',
            g.op('Unsqueeze', boxes, first),
            g.op('Unsqueeze', scores, first),
            constant(torch.tensor([count])),
            constant(torch.tensor([iou])),
            constant(torch.tensor([threshold])),
        )
        return g.op('Gather', found, constant(torch.tensor([1, 2])), axis_i=1)
