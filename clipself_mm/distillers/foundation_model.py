"""A frozen vision foundation model, such as DINOv2, resampled to the token grid of a tower."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import timm
import torch
import torch.nn.functional as F
from mmengine.registry import MODELS
from torch import Tensor, nn

from clipself_mm.clip.weights.layouts import unwrap
from clipself_mm.clip.weights.weight_file import read_weight_file


@MODELS.register_module()
class FoundationModel(nn.Module):
    """A frozen ViT of timm that returns a map of its patch tokens.

    Its weights are loaded when training starts (``init_weights``) or on first use, not when the
    model is built. They are not saved in checkpoints, so testing a distilled student does not need
    them. Without ``checkpoint`` and ``pretrained`` the weights are random, for tests.

    Args:
        model: Name in timm, with its tag: ``vit_base_patch14_dinov2.lvd142m``.
        checkpoint: File of weights, of timm or of the official implementation where timm can
            convert them.
        pretrained: Whether timm downloads the weights of the tag.
        mean: RGB mean of the input, in 0-1 units; timm's for the tag by default.
        std: RGB standard deviation of the input, in 0-1 units; timm's for the tag by default.
        seed: Seed of random weights.
        options: Additional arguments of ``timm.create_model``, e.g. ``img_size``.

    Raises:
        ValueError: Both ``checkpoint`` and ``pretrained`` are given.
        NotImplementedError: The model does not accept images of any size.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        model: str,
        checkpoint: str | None = None,
        pretrained: bool = False,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        seed: int = 0,
        options: dict | None = None,
    ) -> None:
        super().__init__()
        if checkpoint is not None and pretrained:
            raise ValueError(f'{model}: expected either checkpoint or pretrained=True, got both')
        self.name = model
        self.checkpoint = checkpoint
        self.pretrained = pretrained
        self.options = dict(options or {}, num_classes=0, dynamic_img_size=True)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            try:
                network = timm.create_model(model, **self.options)
            except TypeError as error:
                raise NotImplementedError(
                    f'{model}: expected a ViT of timm that accepts images of any size: {error}'
                ) from error
        for name, given in (('mean', mean), ('std', std)):
            values = torch.tensor(given or network.pretrained_cfg[name]).view(1, 3, 1, 1)
            self.register_buffer(name, values, persistent=False)
        self._keep(network)
        self.ready = False

    @property
    def network(self) -> Any:  # noqa: ANN401
        """The timm model; not a submodule, so it is not trained, saved or synchronised."""
        return self._kept[0]

    def init_weights(self) -> None:
        """Load the weights; called by the runner before training, else on first use.

        Raises:
            FileNotFoundError: The checkpoint does not exist.
            ValueError: The checkpoint is broken, is not of this model, or its pickle holds code.
        """
        if self.checkpoint is not None and not Path(self.checkpoint).is_file():
            raise FileNotFoundError(f'{self.checkpoint}: no such file (weights of {self.name})')
        if self.checkpoint is not None or self.pretrained:
            overlay = {}
            if self.checkpoint is not None:  # not by timm: older versions execute pickles
                overlay['state_dict'] = unwrap(read_weight_file(self.checkpoint))
                if not overlay['state_dict']:  # timm would download weights instead
                    raise ValueError(
                        f'{self.checkpoint}: is empty, expected weights of {self.name}'
                    )
            try:
                network = timm.create_model(
                    self.name, pretrained=True, pretrained_cfg_overlay=overlay, **self.options
                )
            except RuntimeError as error:
                raise ValueError(
                    f'{self.checkpoint or "timm"}: expected weights of {self.name}: {error}'
                ) from error
            network.pretrained_cfg.pop('state_dict', None)  # a second copy of all weights
            self._keep(network)
        else:
            logging.getLogger(__name__).warning('%s has random weights', self.name)
        self.ready = True

    @torch.no_grad()
    def forward(self, pixels: Tensor, grid: tuple[int, int]) -> Tensor:
        """Patch tokens on a given grid, to which the input is resized.

        Args:
            pixels: RGB in 0-1, not normalised, shape (N, 3, H, W) with the aspect ratio of the
                grid.
            grid: (h, w) of the output.

        Returns:
            Patch tokens after the final norm, without class and register tokens, not
            L2-normalised, shape (N, C, h, w).
        """
        if not self.ready:
            self.init_weights()
        network = self.network.to(pixels.device)
        patch = network.patch_embed.patch_size
        size = [cells * side for cells, side in zip(grid, patch, strict=True)]
        if list(pixels.shape[-2:]) != size:
            pixels = F.interpolate(pixels, size=size, mode='bicubic', antialias=True)
        tokens = network.forward_features((pixels.clamp(0, 1) - self.mean) / self.std)
        patches = tokens[:, network.num_prefix_tokens :]
        return patches.transpose(1, 2).unflatten(2, grid)

    def _keep(self, network: nn.Module) -> None:
        # In a tuple, which nn.Module does not register.
        self._kept = (network.eval().requires_grad_(False),)
