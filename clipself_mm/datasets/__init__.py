"""Images, regions and vocabularies: everything between files on disk and a batch."""

from .annotations.nouns import CaptionNouns, load_nouns
from .annotations.vocabulary import Vocabulary, load_vocabulary
from .box_regions import BoxRegions
from .captioned_images import CaptionedImages, ChooseCaption
from .captioned_regions import CaptionedRegions
from .checked_voc_dataset import CheckedVOCDataset
from .embedding_cache import CacheMetadata, EmbeddingCache
from .exemplars import Exemplar, list_exemplars, read_exemplar_boxes
from .image_regions import ImageRegions
from .open_vocab_coco_dataset import OpenVocabCocoDataset
from .panoptic_regions import PanopticRegions
from .region_text_pairs import RegionTextPairs
from .regions import GridRegions, MixedRegions, ProposalRegions
from .samplers import InfiniteSeededSampler, InfiniteShardSampler, SeededSampler, ShardSampler
from .seeded_index import SeededIndex
from .sharded_images import ShardedImages
from .structures import ImageReadError, RegionSample
from .transforms import (
    AnnotatedRegions,
    CropRegions,
    CropUncachedRegions,
    LoadBGR,
    LoadRGB,
    LoadSegments,
    PackRegions,
    ResizeLongest,
    ResizeRegionMasks,
    SampleRegions,
    SquareCrop,
)
from .unlabelled_images import UnlabelledImages

__all__ = [
    'AnnotatedRegions',
    'BoxRegions',
    'CacheMetadata',
    'CaptionNouns',
    'CaptionedImages',
    'CaptionedRegions',
    'CheckedVOCDataset',
    'ChooseCaption',
    'CropRegions',
    'CropUncachedRegions',
    'EmbeddingCache',
    'Exemplar',
    'GridRegions',
    'ImageReadError',
    'ImageRegions',
    'InfiniteSeededSampler',
    'InfiniteShardSampler',
    'LoadBGR',
    'LoadRGB',
    'LoadSegments',
    'MixedRegions',
    'OpenVocabCocoDataset',
    'PackRegions',
    'PanopticRegions',
    'ProposalRegions',
    'RegionSample',
    'RegionTextPairs',
    'ResizeLongest',
    'ResizeRegionMasks',
    'SampleRegions',
    'SeededIndex',
    'SeededSampler',
    'ShardSampler',
    'ShardedImages',
    'SquareCrop',
    'UnlabelledImages',
    'Vocabulary',
    'list_exemplars',
    'load_nouns',
    'load_vocabulary',
    'read_exemplar_boxes',
]
