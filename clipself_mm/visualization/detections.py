"""A row of pictures with what a detector finds in them (paper, Figure A2)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from mmdet.apis import inference_detector, init_detector
from mmengine.config import Config
from PIL import Image

from .open_vocab_visualizer import OpenVocabVisualizer


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
