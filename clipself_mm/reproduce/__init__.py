"""The paper's tables from configs to numbers: which runs they need, making them, reporting them."""

from .campaign import Campaign
from .coco_suite import CocoSuite
from .experiment import Experiment
from .given_proposals import GivenProposals, read_given_proposals
from .report import mean_and_spread, write_report
from .reproduction import Reproduction
from .run import Run
from .setting import Setting
from .shapes_suite import ShapesSuite, prepare_shapes
from .suite import Suite
from .table import Column, Row, Table
from .tables import TABLES

__all__ = [
    'TABLES',
    'Campaign',
    'CocoSuite',
    'Column',
    'Experiment',
    'GivenProposals',
    'Reproduction',
    'Row',
    'Run',
    'Setting',
    'ShapesSuite',
    'Suite',
    'Table',
    'mean_and_spread',
    'prepare_shapes',
    'read_given_proposals',
    'write_report',
]
