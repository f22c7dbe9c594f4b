"""Adapter of open_clip's ``ModifiedResNet``: RN50, RN101, RN50x4, RN50x16, RN50x64."""

from __future__ import annotations

from collections.abc import Sequence

from open_clip.modified_resnet import ModifiedResNet
from torch import Tensor, nn

from .attention_pool import pool_map, pool_map_value_path
from .positions import token_grid
from .vision_tower import VisionTower
from .weights.tower_source import CLIP_MEAN, CLIP_STD


class CLIPResNet(VisionTower):
    """A CLIP ResNet with attention pooling; its dense map has stride 32.

    The dense feature of a cell is the pooling of this cell alone. The stages are those of the
    ResNet, strides 4 to 32, each with its own width. CLIPSelf does not train it: ``unlock_blocks``
    and masked attention raise.

    Args:
        visual: open_clip's ``ModifiedResNet``.
        mean: RGB mean of its inputs, in 0-1 units.
        std: RGB standard deviation of its inputs, in 0-1 units.

    Attributes:
        stage_widths: Channels of each stage's map; ``width`` is the last of them.
    """

    def __init__(
        self,
        visual: ModifiedResNet,
        mean: Sequence[float] = CLIP_MEAN,
        std: Sequence[float] = CLIP_STD,
    ) -> None:
        width = visual.attnpool.v_proj.in_features
        super().__init__(
            visual,
            width=width,
            dim=visual.output_dim,
            patch_size=32,
            image_size=visual.image_size,
            mean=mean,
            std=std,
        )
        self.stage_widths = (width // 8, width // 4, width // 2, width)

    @property
    def dense_path(self) -> str:
        """How a dense feature is computed, in a few words."""
        return 'pooling of one cell'

    def encode_image(self, images: Tensor) -> Tensor:
        """Image embedding; positions of the pooling are resized (see ``VisionTower``)."""
        return pool_map(self.visual.attnpool, self._run_stages(images)[-1])

    def encode_dense(self, images: Tensor) -> Tensor:
        """Dense features by the value path of the pooling (see ``VisionTower``)."""
        return self._dense_map(self._run_stages(images)[-1])

    def stages(
        self, images: Tensor, out_indices: Sequence[int], with_dense: bool = False
    ) -> tuple[list[Tensor], Tensor | None]:
        """Maps after chosen stages of the ResNet, strides 4, 8, 16, 32 (see ``VisionTower``)."""
        self.check_stages(out_indices, len(self._layers))
        count = len(self._layers) if with_dense else out_indices[-1] + 1
        maps = self._run_stages(images, count)
        dense = self._dense_map(maps[-1]) if with_dense else None
        return [maps[index] for index in out_indices], dense

    @property
    def _layers(self) -> tuple[nn.Module, ...]:
        visual = self.visual
        return visual.layer1, visual.layer2, visual.layer3, visual.layer4

    def _run_stages(self, images: Tensor, count: int = 4) -> list[Tensor]:
        self.check_sides(images)
        features, maps = self.visual.stem(images), []
        for layer in self._layers[:count]:
            features = layer(features)
            maps.append(features)
        return maps

    def _dense_map(self, features: Tensor) -> Tensor:
        cells = pool_map_value_path(self.visual.attnpool, features)
        return self.unit_map(cells, token_grid(features))
