"""Choice of a detector's score settings from cached proposals, and the analysis of its errors."""

from .choice import PASSES, Protocol, choose_settings
from .proposal_cache import ImageProposals, ProposalCache, record_proposals
from .report import write_report
from .score_settings import ScoreSettings
from .tuning import Tuning

__all__ = [
    'PASSES',
    'ImageProposals',
    'ProposalCache',
    'Protocol',
    'ScoreSettings',
    'Tuning',
    'choose_settings',
    'record_proposals',
    'write_report',
]
