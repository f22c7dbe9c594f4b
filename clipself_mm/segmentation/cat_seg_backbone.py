"""A CLIP ViT as CAT-Seg looks through it: dense map, maps of earlier blocks, attention that trains.

Needs mmseg's decode heads above it only; nothing here imports mmseg.
"""

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
    """The sides an image is brought to so that it is cut into whole patches.

    Args:
        size: (height, width) in pixels.
        patch_size: Pixels a side of a patch.

    Returns:
        The next multiples of the patch size, (height, width) in pixels.
    """
    height, width = (-(-side // patch_size) * patch_size for side in size)
    return height, width


@MODELS.register_module()
class CATSegBackbone(BaseModule):
    """The tower of CAT-Seg (Cho et al. 2023, arXiv 2303.11797; here paper, section 4.3).

    Images are stretched, never padded: to `input_size`, or to the next whole patches. A map thus
    covers exactly the image, and logits made of it are resized back to it.

    The tower's modules stay in eval mode. `finetune='attention'` trains the query and value weights
    of its blocks (see `unlock_attention`), at the rate that
    `optim_wrapper.paramwise_cfg.custom_keys['backbone.tower']` gives them.

    Args:
        tower: Config of the `VisionTower`; its dense path is the value path unless it says
            otherwise.
        out_indices: Blocks of the guidance maps, 0-based, ascending.
        input_size: Side in pixels of the square every image is stretched to, as the method feeds
            384 px crops to a tower of 336; None leaves the size.
        finetune: 'attention', or 'none' for a frozen tower.
        init_cfg: As in every mm module.

    Raises:
        NotImplementedError: The tower is no ViT.
        ValueError: `input_size` is no multiple of the patch size, `finetune` is unknown, or the
            last block is among `out_indices` (its map is the dense one).
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
            raise ValueError(f'finetune is one of {", ".join(FINETUNE)}, got {finetune!r}')
        self.tower = MODELS.build(tower)
        if not isinstance(self.tower, ViTTower):
            raise NotImplementedError(
                f'CATSegBackbone takes guidance from the blocks of a ViT; '
                f'{type(self.tower).__name__} has none'
            )
        self.tower.check_stages(out_indices, len(self.tower.blocks) - 1)
        if input_size is not None and input_size % self.tower.patch_size:
            raise ValueError(
                f'input_size {input_size} is no multiple of the patch size {self.tower.patch_size}'
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
        """Set the mode; every module of the tower stays in eval.

        The tower's own flag alone follows where its attention trains: activation checkpointing
        asks for it.
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
        size = (self.input_size,) * 2 if self.input_size else images.shape[-2:]
        size = tower_size(size, self.tower.patch_size)
        if size != tuple(images.shape[-2:]):
            images = F.interpolate(images, size=size, mode='bilinear', align_corners=False)
        maps, dense = self.tower.stages(images, self.out_indices, with_dense=True)
        return (*maps, dense)
