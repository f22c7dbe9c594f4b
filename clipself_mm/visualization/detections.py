"""Figures of detections: novel classes red, base classes blue (paper, Figure A2)."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from pathlib import Path

import numpy as np
from mmdet.apis import inference_detector, init_detector
from mmdet.visualization import DetLocalVisualizer
from mmengine.config import Config
from mmengine.registry import VISUALIZERS
from mmengine.structures import InstanceData
from PIL import Image

from clipself_mm.datasets.input_images import list_inputs
from clipself_mm.datasets.open_vocab_coco_dataset import BASE_COLOUR, NOVEL_COLOUR


@VISUALIZERS.register_module()
class OpenVocabVisualizer(DetLocalVisualizer):
    """mmdet's visualizer with colours by `label_names`, which `FViT` adds to its detections.

    A class is blue if it is in `base_classes` of the metainfo, else red. Annotations, and
    detections without `base_classes`, have the colours of the palette. The number of a track,
    `instances_id`, follows the name.

    Args:
        *args: As in `DetLocalVisualizer`.
        **kwargs: As in `DetLocalVisualizer`.
    """

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
        return super()._draw_instances(image, instances, classes, palette)


def draw_detections(
    config: Config,
    checkpoint: str,
    images: Sequence[Path],
    score_thr: float = 0.3,
    side: int = 512,
) -> Image.Image:
    """Detect and draw; novel classes are red, base classes blue.

    Args:
        config: Config of the detector; its test pipeline prepares the images.
        checkpoint: Trained weights.
        images: Image files, at least one.
        score_thr: Least score of a drawn detection.
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
        found.pred_instances.bboxes *= scale
        visualizer.add_datasample(
            path.stem, pixels, found, draw_gt=False, pred_score_thr=score_thr, show=False
        )
        drawn.append(Image.fromarray(visualizer.get_image()))
    size = sum(image.width for image in drawn), max(image.height for image in drawn)
    panel = Image.new('RGB', size, 'white')
    left = 0
    for image in drawn:
        panel.paste(image, (left, 0))
        left += image.width
    return panel
