"""The table of docs/architecture.md against the imports in the code.

When a test fails because code has moved, its message is the table to paste into the page.
"""

import ast
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / 'docs/architecture.md'
PACKAGE = 'clipself_mm'
HEADER = '| room | is about | imports of ours | libraries |\n|---|---|---|---|\n'
COMMON = {'PIL', 'numpy', 'torch', 'torchvision', 'tqdm', *sys.stdlib_module_names}
"""Libraries that say nothing about a room."""


def read_table(page):
    """Rooms of the page, in its order: path -> (what it is about, rooms, libraries)."""
    (rows,) = re.findall(re.escape(HEADER) + r'((?:\|.*\n)+)', page)
    table = {}
    for row in rows.splitlines():
        room, about, ours, libraries = (cell.strip() for cell in row.strip('|').split('|'))
        table[room.strip('`')] = (about, words(ours), words(libraries))
    return table


def words(cell):
    return {word.strip().strip('`') for word in cell.split(',')} - {''}


def modules(package):
    """All modules of a package but the one that imports them all for registration."""
    return [path for path in sorted(package.rglob('*.py')) if path != package / '__init__.py']


def room_of(path, rooms):
    """The deepest room that a path, relative to the package, lies in; None without one."""
    name = path.as_posix()
    inside = [room for room in rooms if name == room or name.startswith(room.rstrip('/') + '/')]
    return max(inside, key=len, default=None)


def top_room(path):
    """The folder or module at the top of the package: a room, if the table has no finer one."""
    return f'{path.parts[0]}/' if len(path.parts) > 1 else path.name


def imported_names(path, package):
    """Dotted names that a module imports, anywhere in it; relative ones made absolute."""
    parents = path.relative_to(package.parent).parts[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = parents[: len(parents) - node.level + 1] if node.level else ()
            base = '.'.join((*above, *filter(None, [node.module])))
            yield from (f'{base}.{alias.name}' for alias in node.names)


def target(name, package):
    """The path of an imported name relative to the package; None if it is the package itself."""
    parts = name.split('.')[1:]
    while parts:
        place = package.joinpath(*parts)
        if place.is_dir():
            return place.relative_to(package) / '__init__.py'
        if place.with_suffix('.py').is_file():
            return place.with_suffix('.py').relative_to(package)
        parts.pop()
    return None


def actual_table(package, rooms):
    """Room -> (rooms it imports, libraries it imports), for the given rooms and missing ones."""
    paths = [path.relative_to(package) for path in modules(package)]
    rooms = [*rooms, *sorted({top_room(p) for p in paths if room_of(p, rooms) is None})]
    table = {}
    for path in paths:
        room = room_of(path, rooms)
        ours, libraries = table.setdefault(room, (set(), set()))
        for name in imported_names(package / path, package):
            library = name.split('.')[0]
            if library == package.name:
                place = target(name, package)
                ours |= {room_of(place, rooms)} - {room} if place else set()
            elif library not in COMMON:
                libraries.add(library)
    return {room: table[room] for room in rooms if room in table}


def write_table(page, package):
    """The right table, with the page's order and descriptions; new rooms stand last."""
    known = read_table(page)
    lines = [
        f'| `{room}` | {known.get(room, ("?",))[0]} | {joined(ours)} | {joined(libraries)} |\n'
        for room, (ours, libraries) in actual_table(package, known).items()
    ]
    return HEADER + ''.join(lines)


def joined(names):
    return ', '.join(f'`{name}`' for name in sorted(names))


def complaint(page, package):
    """What to do about the page; nothing if its table is right."""
    table = {room: (ours, libraries) for room, (_, ours, libraries) in read_table(page).items()}
    if table == actual_table(package, table):
        return ''
    return f'the table of {PAGE.relative_to(ROOT)} should be\n\n{write_table(page, package)}'


def upward(page):
    """Imports of a room that stands further down the table: room -> these."""
    order = [*read_table(page)]
    return {
        room: later
        for place, (room, (_, ours, _)) in enumerate(read_table(page).items())
        if (later := ours - {*order[:place]})
    }


def test_the_table_is_what_the_code_imports():
    wrong = complaint(PAGE.read_text(), ROOT / PACKAGE)
    assert not wrong, wrong


def importers(package, name):
    """Modules of a package that import anything of a name, relative to the package."""
    return [
        path.relative_to(package).as_posix()
        for path in sorted(package.rglob('*.py'))
        if name in {found.split('.')[0] for found in imported_names(path, package)}
    ]


def test_the_package_does_not_import_projects():
    assert (ROOT / 'projects/__init__.py').is_file()
    assert importers(ROOT / PACKAGE, 'projects') == []


def test_a_room_imports_only_rooms_above_it():
    """With the test above: no cycle between rooms."""
    assert upward(PAGE.read_text()) == {}


@pytest.fixture
def toy(tmp_path):
    """A package of two rooms and a module, and the right page for it."""
    package = tmp_path / 'toy'
    for name, code in {
        '__init__.py': 'from . import low, high',
        'tool.py': 'import os',
        'low/__init__.py': 'from .thing import Thing',
        'low/thing.py': 'from ..tool import help\nimport mmengine.config',
        'high/__init__.py': '',
        'high/part.py': 'def f():\n    from toy.low import Thing\n    from toy import __version__',
    }.items():
        path = package / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(code)
    page = HEADER + (
        '| `tool.py` | a | | |\n'
        '| `low/` | b | `tool.py` | `mmengine` |\n'
        '| `high/` | c | `low/` | |\n'
    )
    return package, f'Text.\n\n{page}\nMore.\n'


def test_a_right_table(toy):
    package, page = toy
    assert complaint(page, package) == ''
    assert upward(page) == {}


def test_importers_are_found(toy):
    package, _ = toy
    assert importers(package, 'mmengine') == ['low/thing.py']
    assert importers(package, 'projects') == []


@pytest.mark.parametrize(
    ('right', 'wrong'),
    [
        ('`tool.py` | `mmengine`', ' | `mmengine`'),
        ('`tool.py` | `mmengine`', '`tool.py`, `high/` | `mmengine`'),
        ('`tool.py` | `mmengine`', '`tool.py` | '),
        ('| `high/` | c | `low/` | |\n', ''),
        ('| `high/`', '| `gone/` | d | | |\n| `high/`'),
    ],
    ids=['missing import', 'import that is not there', 'library', 'missing room', 'lost room'],
)
def test_a_wrong_table_is_found_and_mended(toy, right, wrong):
    package, page = toy
    assert right in page
    mended = complaint(page.replace(right, wrong), package).split('\n\n', 1)[1]
    assert complaint(mended, package) == ''


def test_a_room_within_a_room(toy):
    package, page = toy
    row = '| `low/` | b | `tool.py` | `mmengine` |\n'
    assert row in page
    rows = '| `low/thing.py` | b | `tool.py` | `mmengine` |\n| `low/` | b | `low/thing.py` | |\n'
    finer = page.replace(row, rows)
    assert complaint(finer, package) == ''


def test_an_upward_import_is_found(toy):
    package, page = toy
    (package / 'tool.py').write_text('from .high.part import f')
    mended = write_table(page, package)
    assert upward(mended) == {'tool.py': {'high/'}}
