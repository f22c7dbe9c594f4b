"""Backbone of CAT-Seg: dense map and intermediate maps of a CLIP ViT. Does not need mmseg."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor

from clipself_mm.clip import ViTTower
from clipself_mm.clip.attention_unlock import unlock_attention

FINETUNE = ('attention', 'none')


def tower_size(size: tuple[int, int], patch_size: int) -> tuple[int, int]:
    """Round an image size up to whole patches.

    Args:
        size: (height, width) in pixels.
        patch_size: Side of a patch in pixels.

    Returns:
        (height, width) in pixels, multiples of the patch size.
    """
    height, width = (-(-side // patch_size) * patch_size for side in size)
    return height, width


@MODELS.register_module()
class CATSegBackbone(BaseModule):
    """The tower of CAT-Seg (Cho et al. 2023, arXiv 2303.11797; CLIPSelf paper, section 4.3).

    Images are stretched, never padded: to `input_size`, or to the next multiple of the patch size.
    A map therefore covers exactly the image.

    The tower's modules stay in eval mode. `finetune='attention'` trains the query and value weights
    of its blocks (see `unlock_attention`); set their learning rate with
    `optim_wrapper.paramwise_cfg.custom_keys['backbone.tower']`.

    Args:
        tower: Config of the `VisionTower`; its default dense path is the value path.
        out_indices: Blocks of the guidance maps, 0-based, ascending.
        input_size: Side in pixels of the square that every image is resized to (the method feeds
            384 px crops to a tower of 336 px); None keeps the image size.
        finetune: 'attention', or 'none' for a frozen tower.
        init_cfg: As in mmengine's `BaseModule`.

    Raises:
        NotImplementedError: The tower is not a ViT.
        ValueError: `input_size` is not a multiple of the patch size, `finetune` is unknown, or
            `out_indices` contains the last block (its map is the dense map).
    """

    def __init__(
        self,
        tower: dict,
        out_indices: Sequence[int] = (3, 7),
        input_size: int | None = None,
        finetune: str = 'attention',
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        if finetune not in FINETUNE:
            raise ValueError(
                f'backbone.finetune: expected one of {", ".join(FINETUNE)}, got {finetune!r}'
            )
        self.tower = MODELS.build(tower)
        if not isinstance(self.tower, ViTTower):
            raise NotImplementedError(
                f'backbone.tower: CATSegBackbone needs a ViT, got {type(self.tower).__name__}'
            )
        self.tower.check_stages(out_indices, len(self.tower.blocks) - 1)
        if input_size is not None and input_size % self.tower.patch_size:
            raise ValueError(
                f'backbone.input_size: expected a multiple of the patch size '
                f'{self.tower.patch_size}, got {input_size}'
            )
        self.out_indices = tuple(out_indices)
        self.input_size = input_size
        self.trains_tower = finetune == 'attention'
        if self.trains_tower:
            unlock_attention(self.tower)
        else:
            self.tower.freeze()
        self.train()

    def train(self, mode: bool = True) -> CATSegBackbone:
        """Set the mode; all modules inside the tower stay in eval mode.

        If the attention trains, the tower's own `training` flag follows the mode, since activation
        checkpointing depends on it.
        """
        super().train(mode)
        self.tower.eval()
        self.tower.training = mode and self.trains_tower
        return self

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Guidance maps and the dense map.

        Args:
            images: Normalised, shape (N, 3, H, W), of any size.

        Returns:
            A map (N, C, h, w) for each of `out_indices`, then the dense map (N, D, h, w).
        """
        height, width = images.shape[-2:]
        if self.input_size:
            height = width = self.input_size
        size = tower_size((height, width), self.tower.patch_size)
        if size != tuple(images.shape[-2:]):
            images = F.interpolate(images, size=size, mode='bilinear', align_corners=False)
        maps, dense = self.tower.stages(images, self.out_indices, with_dense=True)
        return (*maps, dense)
