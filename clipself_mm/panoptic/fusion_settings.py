"""Test settings of the fused segmentor: completed and checked."""

from __future__ import annotations

from collections.abc import Mapping

from mmengine.config import ConfigDict

_TEST = dict(
    score='fused',
    alpha=0.35,  # ODISE's caption model; its label model has 0.3 and 0.7
    beta=0.65,
    temperature=100.0,
    mask_threshold=None,
    panoptic_on=True,
    instance_on=True,
    semantic_on=False,
    max_per_image=100,
    object_mask_thr=0.0,
    iou_thr=0.8,
    filter_low_score=True,
)


def read_test_cfg(given: Mapping | None) -> ConfigDict:
    """Complete and check the test settings of `FusedPanopticSegmentor`.

    Raises:
        ValueError: A setting is unknown or out of range.
    """
    if unknown := sorted(set(given or {}) - set(_TEST)):
        raise ValueError(f'test_cfg has {unknown}, expected some of {sorted(_TEST)}')
    settings = ConfigDict(_TEST | dict(given or {}))
    if settings.score not in ('fused', 'clip', 'pred'):
        raise ValueError(f"test_cfg.score is 'fused', 'clip' or 'pred', got {settings.score!r}")
    shares = [settings.alpha, settings.beta, settings.object_mask_thr, settings.iou_thr]
    if not all(0 <= share <= 1 for share in shares):
        raise ValueError(
            f'test_cfg: alpha, beta, object_mask_thr and iou_thr are within 0..1, got {shares}'
        )
    return settings
