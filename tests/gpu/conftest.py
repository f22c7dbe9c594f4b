"""Marks this folder's tests and skips them where there is no CUDA."""

from pathlib import Path

import pytest
import torch

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items):
    for item in items:
        if HERE not in Path(item.path).parents:
            continue
        item.add_marker(pytest.mark.gpu)
        if not torch.cuda.is_available():
            reason = 'the self-check needs a CUDA device; torch sees none'
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(autouse=True)
def free_memory():
    """Each test begins with an empty cache and its own peak."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
