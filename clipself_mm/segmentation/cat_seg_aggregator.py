"""Cost aggregation of CAT-Seg: layers of spatial and class aggregation."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from .cat_seg_classes import CATSegClasses
from .cat_seg_spatial import CATSegSpatial


class CATSegAggregator(nn.Module):
    """Layers of two Swin blocks per class map and one transformer block over classes.

    Spatial aggregation is guided by the dense map, class aggregation by the text embeddings. Both
    are projected once for all layers (arXiv 2303.11797, sections 3.3 and 3.4).

    Args:
        embed_dim: Width of CLIP's joint space, D.
        channels: Width of the features, C.
        guidance_channels: Width of each guidance, G.
        layers: Number of layers.
        heads: Attention heads per block.
        window: Window side of the Swin blocks, in tokens.
        pooling: Pooling factor of class aggregation in training, see `CATSegClasses`.
        test_pooling: The same in eval mode.
        padding: Least number of classes in class aggregation, see `CATSegClasses`.
    """

    def __init__(
        self,
        embed_dim: int,
        channels: int = 128,
        guidance_channels: int = 128,
        layers: int = 2,
        heads: int = 4,
        window: int = 12,
        pooling: int = 2,
        test_pooling: int = 1,
        padding: int = 256,
    ) -> None:
        super().__init__()
        self.appearance = nn.Sequential(
            nn.Conv2d(embed_dim, guidance_channels, kernel_size=3, padding=1), nn.ReLU()
        )
        self.text = nn.Sequential(nn.Linear(embed_dim, guidance_channels), nn.ReLU())
        self.layers = nn.ModuleList()
        for _ in range(layers):
            blocks = [
                CATSegSpatial(channels, guidance_channels, heads, window, shifted=shifted)
                for shifted in (False, True)
            ]
            over_classes = CATSegClasses(
                channels, guidance_channels, heads, pooling, test_pooling, padding
            )
            self.layers.append(nn.ModuleList([*blocks, over_classes]))

    def forward(self, features: Tensor, dense: Tensor, text: Tensor) -> Tensor:
        """Aggregate an embedded cost volume.

        Args:
            features: Embedded cost, shape (N, K, h, w, C).
            dense: Dense map of the image, shape (N, D, h, w).
            text: One unit embedding per class, shape (N, K, D).

        Returns:
            Shape (N, K, h, w, C).
        """
        appearance = self.appearance(dense).permute(0, 2, 3, 1)
        text = self.text(text)
        layer: Any
        for layer in self.layers:
            regular, shifted, over_classes = layer
            features = shifted(regular(features, appearance), appearance)
            features = over_classes(features, text)
        return features
