"""Test modules stand alone: what several of them use lives in a module of helpers."""

import ast
from pathlib import Path

TESTS = Path(__file__).parent


def imported(source):
    """Dotted names that a source imports from the package of tests."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = 'tests.' * bool(node.level) + (node.module or '')
            names = [f'{module}.{alias.name}' for alias in node.names]
        else:
            continue
        yield from (name for name in names if name.startswith('tests.'))


def of_test_modules(names):
    """Those that lead through a test module or a conftest."""
    return [n for n in names if any(p == 'conftest' or p[:5] == 'test_' for p in n.split('.'))]


def test_no_module_imports_a_test_module():
    found = {
        str(path.relative_to(TESTS)): names
        for path in TESTS.rglob('*.py')
        if (names := of_test_modules(imported(path.read_text())))
    }
    assert found == {}


def test_each_form_of_import_is_seen():
    source = """
import tests.clip.test_a
from tests.clip.test_b import x
from tests.clip import test_c
from .conftest import y
from tests.factories import z
from mmdet.models.test_time_augs import t
"""
    assert len(of_test_modules(imported(source))) == 4
