"""Export an F-ViT as one ONNX file whose classes are an input."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from mmdet.structures import DetDataSample
from torch import Tensor

from clipself_mm.clip.export.onnx_file import open_onnx, write_onnx

from .fvit import FViT
from .onnx_detector import OnnxDetector

SCORE_TOLERANCE = 1e-3
"""Largest accepted difference of scores."""
BOX_TOLERANCE = 0.05
"""Largest accepted difference of box coordinates, in pixels of the input."""
LEAST_SHARE = 0.95
"""Least accepted share of equal boxes: rounding may change the order of equal scores in NMS."""


@dataclass(frozen=True)
class Agreement:
    """How well a file agrees with its detector.

    Attributes:
        boxes: Number of boxes of the detector.
        share: Share of them that the file gives too: label, score and box within the tolerances.
        box_difference: Largest difference of their coordinates, in pixels.
        score_difference: Largest difference of their scores.
    """

    boxes: int
    share: float
    box_difference: float
    score_difference: float


def export_detector(model: FViT, file: Path, size: tuple[int, int]) -> Path:
    """Write the detector for one image of one size.

    Inputs: ``image`` (float32, RGB in 0-255, shape (1, 3, H, W), resized, at the left upper
    corner), ``image_size`` (int64, its (h, w)), ``embeddings`` (float32, class embeddings of shape
    (K, D)) and ``novel`` (bool of shape (K), whether a class had no boxes in training). Outputs:
    ``boxes`` (xyxy in pixels of the input, shape (M, 4)), ``scores`` and ``labels`` (M), best
    first.

    The metadata, as JSON: ``base``, the classes that are not novel.

    Args:
        model: The detector, in eval mode.
        file: Output ``.onnx`` file (written atomically).
        size: (H, W) of the input in pixels.

    Returns:
        ``file``.

    Raises:
        ValueError: As in `OnnxDetector`.
        ModuleNotFoundError: onnx is not installed.
    """
    trained = model.roi_head.bbox_head.train_vocabulary
    return write_onnx(
        OnnxDetector(model, size).eval(),
        example_inputs(model, size),
        ['boxes', 'scores', 'labels'],
        file,
        axes={
            'embeddings': {0: 'K'},
            'novel': {0: 'K'},
            'boxes': {0: 'M'},
            'scores': {0: 'M'},
            'labels': {0: 'M'},
        },
        metadata={'base': trained.base or trained.classes},
    )


def example_inputs(model: FViT, size: tuple[int, int]) -> dict[str, Tensor]:
    """Smooth noise, three quarters of the input high, with the classes of the model."""
    noise = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    head = model.roi_head.bbox_head
    return dict(
        image=255 * F.interpolate(noise, size, mode='bilinear'),
        image_size=torch.tensor([size[0] * 3 // 4, size[1]]),
        embeddings=head.fc_cls.table()[:-1].detach().float(),
        novel=head.fusion[:-1] != head.fusion[-1],
    )


@torch.no_grad()
def compare_detector(model: FViT, file: Path, size: tuple[int, int]) -> Agreement:
    """Compare detections of the model and of its file, on one image of smooth noise.

    Raises:
        ModuleNotFoundError: onnxruntime is not installed.
    """
    given = example_inputs(model, size)
    outputs = open_onnx(file).run(None, {name: value.numpy() for name, value in given.items()})
    boxes, scores, labels = (torch.from_numpy(value) for value in outputs)
    pixels = OnnxDetector(model, size).normalise(given['image'], given['image_size'])
    meta = dict(img_shape=tuple(given['image_size'].tolist()), scale_factor=(1.0, 1.0))
    sample = DetDataSample(metainfo=meta | dict(ori_shape=meta['img_shape']))
    expected = model.predict(pixels, [sample])[0].pred_instances
    apart = (expected.bboxes[:, None] - boxes).abs().amax(dim=-1)
    off = (expected.scores[:, None] - scores).abs()
    equal = expected.labels[:, None] == labels
    equal &= (apart <= BOX_TOLERANCE) & (off <= SCORE_TOLERANCE)
    found = equal.any(dim=1)
    count = len(found)
    largest = [
        float(values.where(equal, torch.inf)[found].amin(dim=1).max()) if found.any() else 0.0
        for values in (apart, off)
    ]
    share = float(found.float().mean()) if count else float(len(boxes) == 0)
    return Agreement(count, share, *largest)
