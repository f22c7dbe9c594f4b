"""Detections drawn as in the paper's Figure A2: novel classes red, base classes blue."""

from __future__ import annotations

import numpy as np
from mmdet.visualization import DetLocalVisualizer
from mmengine.registry import VISUALIZERS
from mmengine.structures import InstanceData

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
