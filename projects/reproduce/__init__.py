"""The paper's tables from configs to numbers: which runs they need, making them, reporting them."""

from .beyond import BEYOND_TABLES, missing_data
from .coco_suite import CocoSuite
from .display import Display
from .experiment import Experiment
from .given_proposals import GivenProposals, read_given_proposals
from .job_queue import JobQueue
from .report import mean_and_spread, write_report
from .reproduction import Reproduction
from .run import OtherSetupError, Run
from .run_context import RunContext
from .segmentation import SEGMENTATION_TABLES
from .shapes_suite import ShapesSuite, prepare_shapes
from .suite import Suite
from .table import Column, Row, Table
from .tables import TABLES

__all__ = [
    'BEYOND_TABLES',
    'SEGMENTATION_TABLES',
    'TABLES',
    'CocoSuite',
    'Column',
    'Display',
    'Experiment',
    'GivenProposals',
    'JobQueue',
    'OtherSetupError',
    'Reproduction',
    'Row',
    'Run',
    'RunContext',
    'ShapesSuite',
    'Suite',
    'Table',
    'mean_and_spread',
    'missing_data',
    'prepare_shapes',
    'read_given_proposals',
    'write_report',
]
