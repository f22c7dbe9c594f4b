"""The site of the documentation: built strictly, no dead link, every public name."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

for library in ('mkdocs', 'material', 'mkdocstrings'):
    pytest.importorskip(library, reason=f'{library} is not installed: extra [docs]')

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.slow


def build(folder, out):
    """`make docs` of a checkout; the process, with what it printed."""
    command = [sys.executable, '-m', 'mkdocs', 'build', '--strict', '--site-dir', str(out)]
    environment = {**os.environ, 'NO_MKDOCS_2_WARNING': '1', 'NO_COLOR': '1'}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


class Page(HTMLParser):
    """Anchors of a page, what it links to, what it loads."""

    def __init__(self, html):
        super().__init__()
        self.anchors, self.links, self.loaded = set(), set(), set()
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.anchors |= {values[key] for key in ('id', 'name') if values.get(key)}
        links = {values[key] for key in ('href', 'src') if values.get(key)}
        (self.links if tag == 'a' else self.loaded).update(links)


@pytest.fixture(scope='module')
def site(tmp_path_factory):
    """The pages of the site: path -> page."""
    out = tmp_path_factory.mktemp('docs') / 'site'
    done = build(ROOT, out)
    assert done.returncode == 0, done.stderr
    return {path: Page(path.read_text()) for path in out.rglob('*.html') if path.name != '404.html'}


def test_every_link_leads_somewhere(site):
    """Of the finished pages, those of notebooks and docstrings too, which mkdocs does not check."""
    dead = set()
    for path, page in site.items():
        for link in page.links | page.loaded:
            target, _, anchor = unquote(link).partition('#')
            if re.match(r'[a-z]+:', link):
                continue
            file = Path(os.path.normpath(path.parent / target)) if target else path
            if not file.exists() or (anchor and file in site and anchor not in site[file].anchors):
                dead.add((path.name, link))
    assert dead == set()


def test_pages_load_nothing_from_elsewhere(site):
    loaded = {link for page in site.values() for link in page.loaded}
    assert {link for link in loaded if re.match(r'(https?:)?//', link)} == set()


def test_lists_and_tables_are_rendered(site):
    """GitHub needs no empty line above a list; the site's markdown does."""
    raw = re.compile(r'<p>[^<]*(?:<(?!/p>)[^<]*)*\n(?:- |\d\. |\|)')
    assert [path.name for path in site if raw.search(path.read_text())] == []


def test_every_public_and_every_registered_name_is_in_the_reference(site):
    anchors = {name for page in site.values() for name in page.anchors}
    registered = re.compile(r'^@\w+\.register_module\(.*\)\nclass (\w+)', re.MULTILINE)
    missing = set()
    for room in sorted((ROOT / 'clipself_mm').glob('*/__init__.py')):
        source = room.read_text()
        exported = re.search(r'^__all__ = (\[.*?\])', source, re.DOTALL | re.MULTILINE)
        names = {*ast.literal_eval(exported[1])} if exported else set()
        for path in room.parent.rglob('*.py'):
            names |= {*registered.findall(path.read_text())}
        missing |= {f'clipself_mm.{room.parent.name}.{name}' for name in names} - anchors
    assert missing == set()
    assert 'clipself_mm.detection.OpenVocabDetector' in anchors


TOOL = '[tool](../../tools/run.py) ![it](../../tools/run.png)'


@pytest.fixture
def checkout(tmp_path):
    """A small checkout with the files that make the site."""
    shutil.copy(ROOT / 'mkdocs.yml', tmp_path)
    docs = tmp_path / 'docs'
    shutil.copytree(ROOT / 'docs/site', docs / 'site')
    write(tmp_path / 'README.md', '# Ours', '![figure](docs/images/detections.png)')
    write(tmp_path / 'tools/run.py', 'import sys')
    write(tmp_path / 'tools/run.png', 'pixels')
    write(tmp_path / 'configs/fvit/README.md', '# F-ViT: tables', TOOL)
    write(
        docs / 'README.md',
        '# Documentation',
        '## Start',
        '[ours](../README.md) [page](page.md) [notebook](book.ipynb)',
        '## Configs',
        '[f](../configs/fvit/README.md)',
    )
    write(docs / 'page.md', '# Page', '## A & b', '[t](../configs/fvit/README.md) [b](#a--b)')
    write(docs / 'images/detections.png', 'pixels')
    cells = [
        {'cell_type': 'markdown', 'source': ['# Book\n', '[page](page.md#a--b)']},
        {'cell_type': 'code', 'source': ['6 * 7'], 'outputs': [{'data': {'text/plain': ['42']}}]},
    ]
    write(docs / 'book.ipynb', json.dumps({'cells': cells}))
    return tmp_path


def write(path, *paragraphs):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open('a') as stream:
        stream.writelines(f'{paragraph}\n\n' for paragraph in paragraphs)


def test_what_lies_elsewhere_is_in_the_site(checkout):
    done = build(checkout, checkout / 'site')
    assert done.returncode == 0, done.stderr
    pages = {path: Page(path.read_text()) for path in (checkout / 'site').rglob('*.html')}
    site = checkout / 'site'
    assert 'images/detections.png' in pages[site / 'overview.html'].loaded
    assert '../tools/run.py.html' in pages[site / 'configs/fvit.html'].links
    assert '../tools/run.png' in pages[site / 'configs/fvit.html'].loaded
    assert (site / 'tools/run.png').read_text().startswith('pixels')
    assert {'configs/fvit.html', '#a--b'} <= pages[site / 'page.html'].links
    assert 'page.html#a--b' in pages[site / 'book.html'].links
    assert 'import' in (site / 'tools/run.py.html').read_text()
    assert '42' in (site / 'book.html').read_text()
    menu = (site / 'page.html').read_text().partition('md-sidebar--primary')[2]
    titles = re.findall(r'<span class="md-ellipsis">\s*(.+?)\s*<', menu)
    order = ['Start', 'Ours', 'Page', 'Book', 'Configs', 'F-ViT']
    assert [title for title in dict.fromkeys(titles) if title in order] == order


@pytest.mark.parametrize(
    ('file', 'text', 'named'),
    [
        ('page.md', '[a](gone.md)', 'gone.md'),
        ('page.md', '[a](README.md#gone)', '#gone'),
        ('page.md', '[a](../tools/gone.py)', 'tools/gone.py'),
        ('../configs/fvit/README.md', '![a](../../figures/gone.png)', 'gone.png'),
        ('new.md', '# A page that the index does not list', 'new.md'),
    ],
)
def test_a_dead_link_and_an_unlisted_page_stop_the_build(checkout, file, text, named):
    write(checkout / 'docs' / file, text)
    done = build(checkout, checkout / 'site')
    assert done.returncode != 0
    assert named in done.stderr
