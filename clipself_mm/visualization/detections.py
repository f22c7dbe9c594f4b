"""Figures of detections: novel classes red, base classes blue (paper, Figure A2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from pathlib import Path
from typing import Any

import numpy as np
from mmdet.apis import inference_detector, init_detector
from mmdet.visualization import DetLocalVisualizer
from mmengine.config import Config
from mmengine.registry import VISUALIZERS
from mmengine.structures import InstanceData
from PIL import Image
from torch import Tensor

from clipself_mm.datasets.input_images import list_inputs
from clipself_mm.datasets.open_vocab_coco_dataset import BASE_COLOUR, NOVEL_COLOUR


@VISUALIZERS.register_module()
class OpenVocabVisualizer(DetLocalVisualizer):
    """mmdet's visualizer with colours by `label_names`, which `FViT` adds to its detections.

    A class is blue if it is in `base_classes` of the metainfo, else red. Annotations, and
    detections without `base_classes`, have the colours of the palette. The number of a track,
    `instances_id`, follows the name.

    Labels are of one size, which follows that of the image; mmdet's follows that of the box. A
    label is above its box if there is room, inside the image, and not on another label if there is
    a free place near the box.

    Args:
        *args: As in `DetLocalVisualizer`.
        **kwargs: As in `DetLocalVisualizer`.
    """

    _places: LabelPlaces | None = None

    def _draw_instances(
        self,
        image: np.ndarray,
        instances: InstanceData,
        classes: list[str] | None,
        palette: list[tuple] | str | None,
    ) -> np.ndarray:
        """As in `DetLocalVisualizer`."""
        base = set((self.dataset_meta or {}).get('base_classes', ()))
        if 'label_names' in instances:
            count = max(instances.labels.tolist(), default=-1) + 1
            if base:
                names = dict(zip(instances.labels.tolist(), instances.label_names, strict=True))
                palette = [
                    BASE_COLOUR if names.get(label) in base else NOVEL_COLOUR
                    for label in range(count)
                ]
            elif isinstance(palette, list) and len(palette) < count:
                palette = 'random'
        if 'instances_id' in instances:
            named = zip(instances.label_names, instances.instances_id.tolist(), strict=True)
            instances = copy(instances)
            instances.label_names = [f'{name} #{number}' for name, number in named]
        self._places = LabelPlaces(*image.shape[:2])
        try:
            return super()._draw_instances(image, instances, classes, palette)
        finally:
            self._places = None

    def draw_texts(
        self, texts: str | list[str], positions: np.ndarray | Tensor, *args: object, **kwargs: Any
    ) -> OpenVocabVisualizer:
        """As in mmengine, but labels of instances are placed by `LabelPlaces`."""
        if self._places is None:
            return super().draw_texts(texts, positions, *args, **kwargs)
        label = dict(
            font_sizes=self._places.size * 72 / self.fig_save.dpi,
            colors='white',
            bboxes=[dict(facecolor='black', alpha=0.7, pad=0.7, edgecolor='none')],
        )
        super().draw_texts(texts, positions, *args, **(kwargs | label))
        drawn = self.ax_save.texts[-1]
        wide = drawn.get_window_extent(self.fig_save_canvas.get_renderer()).width
        corner = np.asarray(positions).reshape(-1, 2)[0] - self.line_width
        drawn.set_horizontalalignment('left')
        drawn.set_position(self._places.find(wide, *corner.tolist()))
        return self


class LabelPlaces:
    """Places of the labels of one image.

    Args:
        height: Of the image in pixels.
        width: Of the image in pixels.

    Attributes:
        size: Font size in pixels: 1/36 of the longer side, from 9 to 24.
    """

    def __init__(self, height: int, width: int) -> None:
        self.size = min(24.0, max(9.0, max(height, width) / 36))
        self._limits = width, height
        self._taken: list[tuple[float, float, float, float]] = []

    def find(self, wide: float, left: float, top: float) -> tuple[float, float]:
        """Choose the place of a label, and keep it free of later ones.

        Args:
            wide: Its width in pixels.
            left: Left edge of its box in pixels.
            top: Upper edge of its box in pixels.

        Returns:
            Left upper corner of the label.
        """
        pad = 2
        high = 1.25 * self.size + pad
        x = max(pad, min(left, self._limits[0] - wide - pad))
        lowest = max(0.0, self._limits[1] - high)
        above = top - high
        below = [above + step * high for step in range(1, 5)]
        wanted = [*([above] if above >= 0 else []), *below]
        places = [min(max(y, 0.0), lowest) for y in wanted]
        free = (y for y in places if not self._covered(x, y, x + wide, y + high))
        y = next(free, places[0])
        self._taken.append((x, y, x + wide, y + high))
        return x, y + pad / 2

    def _covered(self, x0: float, y0: float, x1: float, y1: float) -> bool:
        return any(x0 < b[2] and b[0] < x1 and y0 < b[3] and b[1] < y1 for b in self._taken)


def draw_detections(
    config: Config,
    checkpoint: str,
    images: Sequence[Path],
    score_thr: float | Mapping[str, float] = 0.5,
    side: int = 512,
) -> Image.Image:
    """Detect and draw; novel classes are red, base classes blue.

    Args:
        config: Config of the detector; its test pipeline prepares the images.
        checkpoint: Trained weights.
        images: Image files, at least one.
        score_thr: Least score of a drawn detection, or one per class name, such as the
            `thresholds.json` of `tools/tune_scores.py`.
        side: Longest side of an image in the figure, in pixels.

    Returns:
        The figure: images side by side.
    """
    model = init_detector(config, checkpoint, device='cpu')
    visualizer = OpenVocabVisualizer()
    visualizer.dataset_meta = model.dataset_meta
    drawn = []
    for path in images:
        (given,) = list_inputs(path)
        rgb = given.read_rgb()
        image = Image.fromarray(rgb)
        scale = side / max(image.size)
        width, height = (round(scale * length) for length in image.size)
        pixels = np.asarray(image.resize((width, height)))
        found = inference_detector(model, rgb[..., ::-1].copy())
        shown = found.pred_instances.cpu()
        shown.bboxes *= scale
        least = shown.scores.new_tensor(
            [
                score_thr[name] if isinstance(score_thr, Mapping) else score_thr
                for name in shown.label_names
            ]
        )
        found.pred_instances = shown[shown.scores >= least]
        visualizer.add_datasample(
            path.stem, pixels, found, draw_gt=False, pred_score_thr=0.0, show=False
        )
        drawn.append(Image.fromarray(visualizer.get_image()))
    size = sum(image.width for image in drawn), max(image.height for image in drawn)
    panel = Image.new('RGB', size, 'white')
    left = 0
    for image in drawn:
        panel.paste(image, (left, 0))
        left += image.width
    return panel
