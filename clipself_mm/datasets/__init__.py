"""Images, regions and vocabularies: everything between files on disk and a batch."""

from .box_regions import BoxRegions
from .caption_nouns import CaptionNouns
from .captioned_images import CaptionedImages
from .captioned_regions import CaptionedRegions
from .draw import Draw
from .embedding_cache import CacheMetadata, EmbeddingCache
from .image_read_error import ImageReadError
from .image_regions import ImageRegions
from .index_samplers import (
    DrawSampler,
    InfiniteDrawSampler,
    InfiniteShardDrawSampler,
    ShardDrawSampler,
)
from .noun_vocabulary import load_nouns
from .open_vocab_coco_dataset import OpenVocabCocoDataset
from .panoptic_regions import PanopticRegions
from .region_sample import RegionSample
from .region_text_pairs import RegionTextPairs
from .samplers import GridRegions, ProposalRegions
from .sharded_images import ShardedImages
from .transforms import (
    AnnotatedRegions,
    CropRegions,
    CropUncachedRegions,
    DrawCaption,
    LoadRGB,
    LoadSegments,
    PackRegions,
    ResizeLongest,
    ResizeRegionMasks,
    SampleRegions,
    SquareCrop,
)
from .unlabelled_images import UnlabelledImages
from .vocabulary import Vocabulary, load_vocabulary

__all__ = [
    'AnnotatedRegions',
    'BoxRegions',
    'CacheMetadata',
    'CaptionNouns',
    'CaptionedImages',
    'CaptionedRegions',
    'CropRegions',
    'CropUncachedRegions',
    'Draw',
    'DrawCaption',
    'DrawSampler',
    'EmbeddingCache',
    'GridRegions',
    'ImageReadError',
    'ImageRegions',
    'InfiniteDrawSampler',
    'InfiniteShardDrawSampler',
    'LoadRGB',
    'LoadSegments',
    'OpenVocabCocoDataset',
    'PackRegions',
    'PanopticRegions',
    'ProposalRegions',
    'RegionSample',
    'RegionTextPairs',
    'ResizeLongest',
    'ResizeRegionMasks',
    'SampleRegions',
    'ShardDrawSampler',
    'ShardedImages',
    'SquareCrop',
    'UnlabelledImages',
    'Vocabulary',
    'load_nouns',
    'load_vocabulary',
]
