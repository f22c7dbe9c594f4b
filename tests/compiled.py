"""Imported by the server of `tests.forks`: compiles our modules once, not in each fork.

It matters where Python writes no bytecode (PYTHONDONTWRITEBYTECODE); what there is of it is read.
"""

import functools
from importlib.machinery import SourceFileLoader
from pathlib import Path


@functools.cache
def code_of(source, path):
    return compile(source, path, 'exec', dont_inherit=True)


def source_to_code(self, data, path):
    return code_of(data, path)


SourceFileLoader.source_to_code = source_to_code
for file in (Path(__file__).parents[1] / 'clipself_mm').rglob('*.py'):
    code_of(file.read_bytes(), str(file))
