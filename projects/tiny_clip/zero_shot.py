"""Zero-shot accuracy of the tiny CLIP on crops of held-out scenes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from clipself_mm.clip import average_prompts, expand_prompts
from clipself_mm.shapes import SHAPES_OV, SceneSet
from clipself_mm.shapes.export import FIRST_SCENE
from clipself_mm.shapes.scene import mask_box

from .crops import cut_square, enlarge_box
from .model import normalise_pixels


@torch.no_grad()
def class_weights(
    model: Any,  # noqa: ANN401 - open_clip's CLIP
    tokenizer: Callable,
    prompts: slice = slice(None),
    scene_set: SceneSet = SHAPES_OV,
) -> Tensor:
    """Class embeddings of all classes of a set, averaged over prompts: (K, D) unit vectors."""
    texts = [expand_prompts(name)[prompts] for name in scene_set.classes]
    return average_prompts(torch.stack([model.encode_text(tokenizer(text)) for text in texts]))


@torch.no_grad()
def zero_shot_accuracy(
    model: Any,  # noqa: ANN401 - open_clip's CLIP
    tokenizer: Callable,
    scenes: int = 200,
    seed: int = 0,
    first: int = FIRST_SCENE['val'],
    prompts: slice = slice(None),
    scene_set: SceneSet = SHAPES_OV,
) -> dict[str, float]:
    """Classify crops of held-out objects into all classes of a set.

    Args:
        model: An open_clip model for 64 px images.
        tokenizer: Its tokenizer.
        scenes: Number of scenes.
        seed: Seed of the scenes.
        first: Index of the first scene.
        prompts: Slice of the 63 prompts to average.
        scene_set: Renderer and classes; the scenes have its varied style.

    Returns:
        ``top1`` and ``top5`` in percent over the annotated objects (box enlarged 1.5x).
    """
    crops, labels = [], []
    for index in range(first, first + scenes):
        scene = scene_set.render(seed, index, scene_set.varied)
        for number in scene.annotated():
            box = enlarge_box(mask_box(scene.visible_mask(number)), 1.5, scene.image.shape[0])
            crops.append(cut_square(scene.image, box, 64))
            labels.append(scene.objects[number].label)
    weights = class_weights(model, tokenizer, prompts, scene_set)
    pixels = normalise_pixels(np.stack(crops))
    scores = torch.cat(
        [model.encode_image(part, normalize=True) @ weights.T for part in pixels.split(128)]
    )
    hits = scores.topk(5).indices == torch.tensor(labels)[:, None]
    return {
        'top1': 100 * hits[:, 0].float().mean().item(),
        'top5': 100 * hits.any(dim=1).float().mean().item(),
    }
