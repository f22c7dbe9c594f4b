"""Images, regions and vocabularies: everything between files on disk and a batch."""

from .box_regions import BoxRegions
from .draw import Draw
from .image_read_error import ImageReadError
from .image_regions import ImageRegions
from .index_samplers import DrawSampler, InfiniteDrawSampler
from .open_vocab_coco_dataset import OpenVocabCocoDataset
from .panoptic_regions import PanopticRegions
from .region_sample import RegionSample
from .samplers import GridRegions, ProposalRegions
from .transforms import (
    AnnotatedRegions,
    CropRegions,
    LoadRGB,
    LoadSegments,
    PackRegions,
    ResizeLongest,
    ResizeRegionMasks,
    SampleRegions,
)
from .vocabulary import Vocabulary, load_vocabulary

__all__ = [
    'AnnotatedRegions',
    'BoxRegions',
    'CropRegions',
    'Draw',
    'DrawSampler',
    'GridRegions',
    'ImageReadError',
    'ImageRegions',
    'InfiniteDrawSampler',
    'LoadRGB',
    'LoadSegments',
    'OpenVocabCocoDataset',
    'PackRegions',
    'PanopticRegions',
    'ProposalRegions',
    'RegionSample',
    'ResizeLongest',
    'ResizeRegionMasks',
    'SampleRegions',
    'Vocabulary',
    'load_vocabulary',
]
