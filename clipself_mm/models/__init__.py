"""Shared by models of several packages: a base for models that only predict, config checks."""

from .class_names import find_vocabulary, name_classes, read_name_option, read_names
from .exemplars import embed_exemplars, join_exemplars
from .frozen_model import FrozenModel, read_test_cfg
from .tower_pixels import check_normalisation, pad_right_below, round_up
from .window_resize import cut_windows, resize_windows

__all__ = [
    'FrozenModel',
    'check_normalisation',
    'cut_windows',
    'embed_exemplars',
    'find_vocabulary',
    'join_exemplars',
    'name_classes',
    'pad_right_below',
    'read_name_option',
    'read_names',
    'read_test_cfg',
    'resize_windows',
    'round_up',
]
