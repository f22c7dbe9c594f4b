"""mmdet's RPN head with norms in its shared convolutions."""

from __future__ import annotations

from mmcv.cnn import ConvModule
from mmdet.models.dense_heads import RPNHead
from mmengine.registry import MODELS
from torch import nn


@MODELS.register_module()
class NormRPNHead(RPNHead):
    """`RPNHead` with norms in the shared convolutions, as in the official OV-LVIS configs.

    Without `norm_cfg` it is mmdet's `RPNHead`, with the same weight names.

    Args:
        norm_cfg: Norm between each shared convolution and its ReLU; None for none.
        **kwargs: As in mmdet's `RPNHead`.
    """

    def __init__(self, norm_cfg: dict | None = None, **kwargs: object) -> None:
        self.norm_cfg = norm_cfg
        super().__init__(**kwargs)

    def _init_layers(self) -> None:
        """Build mmdet's layers; replace the shared convolutions if there is a norm."""
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
                    inplace=False,  # as in mmdet: `forward_single` applies a second ReLU
                )
                for channels in inputs
            )
        )
