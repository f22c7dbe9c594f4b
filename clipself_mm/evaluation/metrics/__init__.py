"""Metrics registered for configs."""

from .region_classification_metric import RegionClassificationMetric

__all__ = ['RegionClassificationMetric']
