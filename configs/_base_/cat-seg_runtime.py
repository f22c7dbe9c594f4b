"""What configs of CAT-Seg share: segmentation's hooks, counting iterations."""

_base_ = './segmentation_runtime.py'

default_hooks = dict(
    logger=dict(log_metric_by_epoch=False),
    checkpoint=dict(by_epoch=False, interval=8000),
)
log_processor = dict(by_epoch=False)
