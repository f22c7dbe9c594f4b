"""Every relative link of a page, and every page that code, configs and tools name, is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SKIPPED = {'.git', '.mim', 'work_dirs', 'data', 'build', 'dist'}
HISTORY = {'CHANGELOG.md'}
"""Names pages as they were called at the time."""
TOUR_OF_OTHERS = {'Runner'}
"""Names in the tour that are mm's."""
PAGE = re.compile(r'\bdocs/[\w./-]*\w')
LINK = re.compile(r'\]\(([^()\s]+)\)')


def files(*suffixes):
    """Text files of the checkout, wherever it was unpacked."""
    for path in sorted(ROOT.rglob('*')):
        parts = path.relative_to(ROOT).parts
        environment = any(part.startswith('.venv') for part in parts)
        if path.suffix in suffixes and not environment and not SKIPPED & {*parts}:
            yield path


def anchors(page):
    """Anchors that GitHub gives the headings of a page."""
    text = re.sub(r'^```.*?^```$', '', page, flags=re.DOTALL | re.MULTILINE)
    for heading in re.findall(r'^#+ +(.+)$', text, re.MULTILINE):
        yield re.sub(r'[^\w\- ]', '', heading.lower()).replace(' ', '-')


def dead_links(page, folder):
    """Links of a page that lie in `folder` which lead nowhere."""
    for link in LINK.findall(page):
        path, _, anchor = link.partition('#')
        if re.match(r'[a-z]+:', link):
            continue
        target = folder / path
        if not target.exists():
            yield link
        elif anchor:
            text = target.read_text() if path else page
            if anchor not in anchors(text):
                yield link


def dead_pages(text):
    """Paths below docs/ that a text names and that are not there."""
    return [name for name in PAGE.findall(text) if not (ROOT / name).exists()]


PAGES = [pytest.param(path, id=str(path.relative_to(ROOT))) for path in files('.md')]


@pytest.mark.parametrize('path', PAGES)
def test_links_of_a_page(path):
    assert [*dead_links(path.read_text(), path.parent)] == []


def test_pages_that_files_name():
    found = {
        str(path.relative_to(ROOT)): dead
        for path in files('.md', '.py', '.sh', '.toml', '.yml', '.yaml', '.cff', '.txt', '.in')
        if path.name not in HISTORY | {Path(__file__).name}
        and (dead := dead_pages(path.read_text()))
    }
    assert found == {}


def test_the_index_leads_to_every_page():
    index = (ROOT / 'docs/README.md').read_text()
    linked = {(ROOT / 'docs' / link.split('#')[0]).resolve() for link in LINK.findall(index)}
    pages = {path for path in (ROOT / 'docs').rglob('*.md') if path.parent.name != 'results'}
    assert pages - linked == {ROOT / 'docs/README.md'}


def test_names_in_the_tour_are_those_of_the_code():
    """CONTRIBUTING.md names classes and functions, not files, since files move more often."""
    code = '\n'.join(path.read_text() for path in (ROOT / 'clipself_mm').rglob('*.py'))
    defined = {*re.findall(r'^ *(?:class|def) (\w+)', code, re.MULTILINE)}
    page = (ROOT / 'CONTRIBUTING.md').read_text()
    tour = page[page.index('### 1.') : page.index('## How to run')]
    named = {part for name in re.findall(r'`([A-Za-z_.]+)`', tour) for part in name.split('.')}
    assert len(named) > 50
    assert named - defined == TOUR_OF_OTHERS


def test_readme_is_short():
    assert len((ROOT / 'README.md').read_text().splitlines()) <= 140


@pytest.mark.parametrize(
    ('page', 'dead'),
    [
        ('[a](README.md)[b](https://example.org/x.md)[c](docs/README.md#start-here)', []),
        ('[a](README.txt)', ['README.txt']),
        ('[a](README.md#start-there)', ['README.md#start-there']),
        ('# One & two\n[a](#one--two)[b](#two)', ['#two']),
    ],
)
def test_dead_links_are_found(page, dead):
    assert [*dead_links(page, ROOT)] == dead


def test_dead_pages_are_found():
    assert dead_pages('see docs/README.md and docs/gone.md.') == ['docs/gone.md']
