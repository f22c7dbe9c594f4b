"""Choice of the regions of an image that are distilled."""

from .enlarge_boxes import enlarge_boxes
from .grid_regions import GridRegions, grid_boxes, grid_choices
from .mixed_regions import MixedRegions
from .proposal_regions import ProposalRegions

__all__ = [
    'GridRegions',
    'MixedRegions',
    'ProposalRegions',
    'enlarge_boxes',
    'grid_boxes',
    'grid_choices',
]
