"""The web page: detection and dense features in a browser, for one or a few visitors."""

from .answers import PageModels
from .dense import tower_of
from .serve import serve

__all__ = ['PageModels', 'serve', 'tower_of']
