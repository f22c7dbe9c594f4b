"""Detections drawn as in the paper's Figure A2: novel classes red, base classes blue."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from mmdet.apis import inference_detector, init_detector
from mmdet.visualization import DetLocalVisualizer
from mmengine.config import Config
from mmengine.registry import VISUALIZERS
from mmengine.structures import InstanceData
from PIL import Image

from clipself_mm.datasets.open_vocab_coco_dataset import BASE_COLOUR, NOVEL_COLOUR


@VISUALIZERS.register_module()
class OpenVocabVisualizer(DetLocalVisualizer):
    """mmdet's visualizer, whose colours follow the names that `FViT` gives its detections.

    `label_names` in the instances are blue if the metainfo lists them among `base_classes` and red
    if not. Where the metainfo splits nothing, and for annotations, the palette decides.

    Args:
        *args: As in `DetLocalVisualizer`.
        **kwargs: As in `DetLocalVisualizer`.
    """

    def _draw_instances(
        self,
        image: np.ndarray,
        instances: InstanceData,
        classes: list[str] | None,
        palette: list[tuple] | None,
    ) -> np.ndarray:
        """As mmdet's, arguments and result as there."""
        base = set((self.dataset_meta or {}).get('base_classes', ()))
        if 'label_names' in instances:
            count = max(instances.labels.tolist(), default=-1) + 1
            if base:
                palette = [NOVEL_COLOUR] * count
                for label, name in zip(
                    instances.labels.tolist(), instances.label_names, strict=True
                ):
                    palette[label] = BASE_COLOUR if name in base else NOVEL_COLOUR
            elif isinstance(palette, list) and len(palette) < count:
                palette = 'random'
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
        config: Config of the detector; its test pipeline reads the pictures.
        checkpoint: Trained weights.
        images: Pictures, at least one.
        score_thr: Least score that is drawn.
        side: Longest side in pixels of a picture in the panel.

    Returns:
        The pictures side by side.
    """
    model = init_detector(config, checkpoint, device='cpu')
    visualizer = OpenVocabVisualizer()
    visualizer.dataset_meta = model.dataset_meta
    drawn = []
    for path in images:
        picture = Image.open(path).convert('RGB')
        scale = side / max(picture.size)
        picture = np.asarray(picture.resize([round(scale * length) for length in picture.size]))
        found = inference_detector(model, str(path))
        found.pred_instances.bboxes *= scale
        visualizer.add_datasample(
            path.stem, picture, found, draw_gt=False, pred_score_thr=score_thr, show=False
        )
        drawn.append(visualizer.get_image())
    height = max(picture.shape[0] for picture in drawn)
    panel = Image.new('RGB', (sum(picture.shape[1] for picture in drawn), height), 'white')
    left = 0
    for picture in drawn:
        panel.paste(Image.fromarray(picture), (left, 0))
        left += picture.shape[1]
    return panel
