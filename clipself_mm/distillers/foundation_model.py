"""A frozen vision foundation model, such as DINOv2, on the token grid of another tower."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import timm
import torch
import torch.nn.functional as F
from mmengine.registry import MODELS
from torch import Tensor, nn

from clipself_mm.clip.weights.layouts import unwrap
from clipself_mm.clip.weights.weight_file import read_weight_file


@MODELS.register_module()
class FoundationModel(nn.Module):
    """A ViT of timm that is asked for a map of its patches and never trains.

    Its weights are read when training starts (``init_weights``) or on first use, not when the model
    is built, and are no part of a checkpoint: who only tests a distilled student needs no file of
    them. Without ``checkpoint`` and ``pretrained`` they are random, drawn from ``seed``: a stand-in
    for tests.

    Args:
        model: Name in timm, with its tag: ``vit_base_patch14_dinov2.lvd142m``.
        checkpoint: File of its weights, timm's or, where timm can convert them, the authors'.
        pretrained: Whether timm fetches the weights of the tag.
        mean: RGB mean of its inputs, in 0-1 units; timm's for the tag by default.
        std: RGB standard deviation of its inputs, in 0-1 units; timm's for the tag by default.
        seed: Of random weights.
        options: More arguments of ``timm.create_model``, such as a size of one's own.

    Raises:
        ValueError: Both ``checkpoint`` and ``pretrained`` are given.
        NotImplementedError: The model has no patches whose number follows the input.
    """

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
            raise ValueError(f'{model}: give either a checkpoint or pretrained=True')
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
                    f'{model}: expected a ViT of timm that takes images of any size: {error}'
                ) from error
        for name, given in (('mean', mean), ('std', std)):
            values = torch.tensor(given or network.pretrained_cfg[name]).view(1, 3, 1, 1)
            self.register_buffer(name, values, persistent=False)
        self._hold(network)
        self.ready = False

    @property
    def network(self) -> nn.Module:
        """The model of timm; no submodule, so that nothing trains, saves or synchronises it."""
        return self._held[0]

    def init_weights(self) -> None:
        """Read the weights; called by the runner before training, else on first use.

        Raises:
            FileNotFoundError: There is no such checkpoint.
            ValueError: It is broken, another model's, or names code in its pickle.
        """
        if self.checkpoint is not None and not Path(self.checkpoint).is_file():
            raise FileNotFoundError(f'{self.checkpoint}: no such file of weights of {self.name}')
        if self.checkpoint is not None or self.pretrained:
            overlay = {}
            if self.checkpoint is not None:  # read here: older versions of timm run its pickle
                overlay['state_dict'] = unwrap(read_weight_file(self.checkpoint))
                if not overlay['state_dict']:  # for which timm would turn to the hub
                    raise ValueError(f'{self.checkpoint}: no weights of {self.name}: it is empty')
            try:
                network = timm.create_model(
                    self.name, pretrained=True, pretrained_cfg_overlay=overlay, **self.options
                )
            except RuntimeError as error:
                raise ValueError(
                    f'{self.checkpoint or "timm"}: no weights of {self.name}: {error}'
                ) from error
            network.pretrained_cfg.pop('state_dict', None)  # else all weights are kept twice
            self._hold(network)
        else:
            logging.getLogger(__name__).warning('%s is used with random weights', self.name)
        self.ready = True

    @torch.no_grad()
    def forward(self, pixels: Tensor, grid: tuple[int, int]) -> Tensor:
        """A map on a given grid: the input is resized so that its patches are the grid's cells.

        Args:
            pixels: RGB in 0-1, not normalised, any size of the grid's aspect, shape (N, 3, H, W).
            grid: Wanted (h, w).

        Returns:
            Patch tokens after the final norm, class and register tokens dropped, not normalised,
            shape (N, C, h, w).
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

    def _hold(self, network: nn.Module) -> None:
        self._held = (network.eval().requires_grad_(False),)
