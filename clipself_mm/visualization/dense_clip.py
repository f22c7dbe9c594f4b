"""Both towers of a CLIP ready for use: dense features of an image, heat maps of words."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from mmengine.device import get_device
from PIL import Image
from torch import Tensor

from clipself_mm.clip import TextTower, VisionTower, build_tower, find_source, read_state
from clipself_mm.clip.weights.tower_source import package_path
from clipself_mm.datasets.input_images import list_inputs
from clipself_mm.models import read_names

from .dense_clusters import encode_dense_map

SHIPPED = ('pkg:clipself_mm.shapes/tiny_clip', 'clipself_mm.shapes/tiny_fvit/fvit_tiny.safetensors')
"""The tiny CLIP, and the shipped detector, which has its refined image tower."""


class DenseCLIP:
    """Image and text tower of a CLIP.

    Images are given as to a detector, see `list_inputs`; each call takes one.

    Args:
        image: The image tower.
        text: The text tower.
    """

    def __init__(self, image: VisionTower, text: TextTower) -> None:
        self.image = image.eval()
        self.text = text

    def dense_map(self, image: object, size: int) -> Tensor:
        """Dense features of an image.

        Args:
            image: Path, PIL image, uint8 array (BGR) or tensor (RGB).
            size: Longest side of the tower's input in pixels, see `encode_dense_map`.

        Returns:
            Unit vectors, shape (D, h, w).
        """
        return self._dense_map(self._read(image), size)

    def similarity(self, image: object, words: str | Sequence[str], size: int) -> Tensor:
        """Heat maps of words at the resolution of the tokens.

        Args:
            image: As in `dense_map`.
            words: One text ('red star. sand') or a list of N names, see `read_names`.
            size: As in `dense_map`.

        Returns:
            Cosines of the dense features with the embeddings of the words, shape (N, h, w).
        """
        return self._similarity(self._read(image), words, size)

    def heat_maps(self, image: object, words: str | Sequence[str], size: int) -> Tensor:
        """Heat maps of words at the resolution of the image, bilinear.

        Args:
            image: As in `dense_map`.
            words: As in `similarity`.
            size: As in `dense_map`.

        Returns:
            Cosines, shape (N, H, W).
        """
        source = self._read(image)
        cosines = self._similarity(source, words, size)
        return F.interpolate(cosines[None], (source.height, source.width), mode='bilinear')[0]

    def _dense_map(self, image: Image.Image, size: int) -> Tensor:
        return F.normalize(encode_dense_map(self.image, image, size), dim=0)

    def _similarity(self, image: Image.Image, words: str | Sequence[str], size: int) -> Tensor:
        embeddings = self.text.embed_classes(read_names(words))
        dense = self._dense_map(image, size)
        return torch.einsum('nd,dhw->nhw', embeddings.to(dense), dense)

    @staticmethod
    def _read(image: object) -> Image.Image:
        given = list_inputs(image)
        if len(given) > 1:
            raise ValueError(f'expected one image, got {len(given)}')
        return Image.fromarray(given[0].read_rgb())


def load_tower(
    model: str | Path | None = None,
    checkpoint: str | Path | None = None,
    device: str | None = None,
) -> DenseCLIP:
    """Load the image and the text tower of a CLIP.

    Args:
        model: Name of open_clip, a folder with a CLIP (such as the `tower` of a distillation), or
            what else `find_source` takes; by default the shipped tower, refined on Shapes-OV.
        checkpoint: Weights of the model, in any layout that `read_state` reads. If they have no
            text tower, as those of a distillation or a detector, the text tower is that of the
            folder.
        device: cpu, cuda:0, ...; by default the GPU if there is one.

    Raises:
        FileNotFoundError, ValueError: As in `build_tower` and `TextTower`.
    """
    if model is None:
        if checkpoint is not None:
            raise ValueError(f'{checkpoint}: of which model? Give it as model')
        model, checkpoint = SHIPPED[0], package_path(SHIPPED[1])
    name = f'local-dir:{model}' if Path(model).is_dir() else str(model)
    file = None if checkpoint is None else str(checkpoint)
    image = build_tower(name, file)
    state = read_state(find_source(name, file).require_checkpoint())
    if all(key.startswith('visual.') for key in state):
        if find_source(name).checkpoint is None:
            raise ValueError(
                f'{file}: has no text tower: give as model the folder of the CLIP that it comes '
                'from, with its weights'
            )
        file = None
    device = device or get_device()
    return DenseCLIP(image.to(device), TextTower(name, file).to(device))
