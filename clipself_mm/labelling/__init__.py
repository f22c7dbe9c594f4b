"""Labelling of image collections by a detector: reading, the journal, writers of four formats."""

from .journal import Journal, LabelledImage, Records
from .runner import label_images
from .sources import ImageSource, open_source
from .thresholds import read_thresholds
from .writers import FORMATS, write_broken

__all__ = [
    'FORMATS',
    'ImageSource',
    'Journal',
    'LabelledImage',
    'Records',
    'label_images',
    'open_source',
    'read_thresholds',
    'write_broken',
]
