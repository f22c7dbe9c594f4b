"""mmdet's RPN with a norm or another kind of convolution, which its own cannot take."""

from __future__ import annotations

from mmcv.cnn import ConvModule, build_conv_layer
from mmdet.models.dense_heads import RPNHead
from mmengine.registry import MODELS
from torch import nn


@MODELS.register_module()
class NormRPNHead(RPNHead):
    """`RPNHead` whose shared convolutions are normed, as the release has it on OV-LVIS.

    Without a norm it is mmdet's, weight for weight.

    Args:
        norm_cfg: Norm between each shared convolution and its ReLU; None for none.
        conv_cfg: Kind of the shared convolutions; None for the ordinary one.
        **kwargs: As in mmdet's `RPNHead`.
    """

    def __init__(
        self, norm_cfg: dict | None = None, conv_cfg: dict | None = None, **kwargs: object
    ) -> None:
        self.norm_cfg = norm_cfg
        self.conv_cfg = conv_cfg
        super().__init__(**kwargs)

    def _init_layers(self) -> None:
        """Build mmdet's layers, then the shared convolutions anew if they are to be others."""
        super()._init_layers()
        if self.norm_cfg is None and self.conv_cfg is None:
            return
        if self.norm_cfg is None and self.num_convs == 1:  # mmdet's has no module around it
            sizes = (self.in_channels, self.feat_channels)
            self.rpn_conv = build_conv_layer(self.conv_cfg, *sizes, 3, padding=1)
            return
        inputs = [self.in_channels] + [self.feat_channels] * (self.num_convs - 1)
        self.rpn_conv = nn.Sequential(
            *(
                ConvModule(
                    channels,
                    self.feat_channels,
                    3,
                    padding=1,
                    conv_cfg=self.conv_cfg,
                    norm_cfg=self.norm_cfg,
                    inplace=False,  # as in mmdet's: `forward_single` applies a ReLU once more
                )
                for channels in inputs
            )
        )
