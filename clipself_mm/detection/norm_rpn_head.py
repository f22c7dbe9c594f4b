"""mmdet's RPN with a norm in its convolutions, which its own cannot take."""

from __future__ import annotations

from mmcv.cnn import ConvModule
from mmdet.models.dense_heads import RPNHead
from mmengine.registry import MODELS
from torch import nn


@MODELS.register_module()
class NormRPNHead(RPNHead):
    """`RPNHead` whose shared convolutions are normed, as the release has it on OV-LVIS.

    Without a norm it is mmdet's, weight for weight.

    Args:
        norm_cfg: Norm between each shared convolution and its ReLU; None for none.
        **kwargs: As in mmdet's `RPNHead`.
    """

    def __init__(self, norm_cfg: dict | None = None, **kwargs: object) -> None:
        self.norm_cfg = norm_cfg
        super().__init__(**kwargs)

    def _init_layers(self) -> None:
        """Build mmdet's layers, then the shared convolutions anew if there is a norm."""
        super()._init_layers()
        if self.norm_cfg is None:
            return
        inputs = [self.in_channels] + [self.feat_channels] * (self.num_convs - 1)
        self.rpn_conv = nn.Sequential(
            *(
                ConvModule(
                    channels,
                    self.feat_channels,
                    3,
                    padding=1,
                    norm_cfg=self.norm_cfg,
                    inplace=False,  # as in mmdet's: `forward_single` applies a ReLU once more
                )
                for channels in inputs
            )
        )
