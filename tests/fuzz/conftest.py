"""The check of this folder's tests."""

import pytest

from tests.fuzz.harness import Check


@pytest.fixture
def check(tmp_path):
    return Check(tmp_path)
