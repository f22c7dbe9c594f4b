"""What mkdocs.yml leaves to code: the navigation, pages from outside docs/, the API reference.

A page is listed in one place, docs/README.md, whose headings are the sections of the navigation.
What a page links to elsewhere in the repository becomes a page too: markdown as it is, a folder
as a list, other files as listings. So a link that works in the repository works in the site.
Notebooks are pages of their cells and outputs; they are not run.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from os.path import normpath, relpath
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
DOCS = ROOT / 'docs'
ROOMS = 'clipself_mm/*/__init__.py'
LINK = re.compile(r'(?<=\]\()([^()\s#:]+)(?=(?:#[^()\s]*)?\))')
"""The path of a link or an image in markdown, without its anchor; no URL."""
PICTURES = ('.gif', '.jpg', '.png', '.svg', '.webp')


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages that do not lie in docs/, and sets the navigation."""
    new = [DOCS / file.src_uri for file in files.documentation_pages()]
    config.nav = [*_sections(), {'Python API': [*_reference(files, config)]}]
    listed = str(config.nav)
    while new:
        for target in _targets(new.pop()).values():
            uri = _uri(target)
            if uri not in files.src_uris:
                picture = target.suffix in PICTURES
                content = target.read_bytes() if picture else _text(target)
                file = File.generated(config, uri, content=content)
                file.source = target
                if f"'{uri}'" not in listed:
                    file.inclusion = InclusionLevel.NOT_IN_NAV
                files.append(file)
                new += [] if picture else [target]
    return files


def on_page_markdown(markdown: str, page: Page, **kwargs: object) -> str:
    """Leads the links of a page to where their files are in the site."""
    if page.file.src_uri.startswith('api/'):
        return markdown
    targets = _targets(getattr(page.file, 'source', DOCS / page.file.src_uri))
    folder = Path(page.file.src_uri).parent

    def lead(link: re.Match) -> str:
        return relpath(_uri(targets[link[0]]), folder) if link[0] in targets else link[0]

    return LINK.sub(lead, markdown)


def _sections() -> Iterator[dict[str, list]]:
    """The navigation: per heading of docs/README.md the pages that it links to."""
    index = DOCS / 'README.md'
    listed = {index}
    for section in re.split('^## ', index.read_text(), flags=re.MULTILINE)[1:]:
        pages = [] if len(listed) > 1 else [{'Contents': index.name}]
        for target in _targets_in(section, DOCS).values():
            if target not in listed and (target.is_dir() or target.suffix in ('.md', '.ipynb')):
                listed.add(target)
                tables = [_entry(page) for page in sorted(target.glob('*.md'))]
                inside = [_uri(target), *tables]
                pages.append({target.name.capitalize(): inside} if tables else _entry(target))
        yield {section.splitlines()[0]: pages}


def _entry(path: Path) -> dict[str, str]:
    """A page under the main part of its heading: 'F-ViT: a detector on CLIP' is 'F-ViT'."""
    heading = re.search(r'^# (.+?)(?:: .*| \(.*)?$', _text(path), re.MULTILINE)
    return {heading[1] if heading else path.stem: _uri(path)}


def _reference(files: Files, config: MkDocsConfig) -> Iterator[str]:
    """Adds a page per room with the names of its `__all__`; gives their places."""
    for path in sorted(ROOT.glob(ROOMS)):
        module = ast.parse(path.read_text())
        names = [
            ast.literal_eval(node.value)
            for node in module.body
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == '__all__'
        ]
        if names:
            room = path.parent.name
            entries = [f'::: clipself_mm.{room}.{name}' for name in names[0]]
            text = [f'# clipself_mm.{room}', ast.get_docstring(module), *entries]
            uri = f'api/{room}.md'
            files.append(File.generated(config, uri, content='\n\n'.join(text)))
            yield uri


def _targets(path: Path) -> dict[str, Path]:
    """Link to file or folder, of the links of a page that lead into the repository."""
    folder = path if path.is_dir() else path.parent
    return _targets_in(_text(path), folder)


def _targets_in(text: str, folder: Path) -> dict[str, Path]:
    paths = {link: Path(normpath(folder / link)) for link in LINK.findall(text)}
    return {
        link: path for link, path in paths.items() if path.exists() and path.is_relative_to(ROOT)
    }


def _uri(path: Path) -> str:
    """Where the site has a file or a folder of the repository, as a source of mkdocs."""
    if path == ROOT / 'README.md':
        return 'overview.md'
    inside = path.is_relative_to(DOCS)
    place = path.relative_to(DOCS if inside else ROOT)
    if path.is_dir():
        return f'{place}.md' if (path / 'README.md').exists() else f'{place}/index.md'
    if path.name == 'README.md' and not inside:
        return f'{place.parent}.md'
    if path.suffix == '.ipynb':
        return str(place.with_suffix('.md'))
    return str(place) if inside or path.suffix in ('.md', *PICTURES) else f'{place}.md'


def _text(path: Path) -> str:
    """A file or a folder of the repository as markdown."""
    if path.is_dir():
        title = f'# {path.relative_to(ROOT)}\n\n'
        return title + '\n'.join(
            f'- [{child.name}]({child.name})'
            if child.suffix == '.md' or (child / 'README.md').exists()
            else f'- {child.name}'
            for child in sorted(path.iterdir())
            if child.name[0] not in '._'
        )
    if path.suffix == '.ipynb':
        return '\n\n'.join(_cells(json.loads(path.read_text())['cells']))
    if path.suffix == '.md':
        return path.read_text()
    return f'# {path.relative_to(ROOT)}\n\n{_listing(path.read_text(), path.suffix[1:])}'


def _cells(cells: list[dict]) -> Iterator[str]:
    """The cells of a notebook, and of their outputs pictures or text."""
    for cell in cells:
        source = ''.join(cell['source'])
        yield source if cell['cell_type'] == 'markdown' else _listing(source, 'python')
        for output in cell.get('outputs', ()):
            data = output.get('data', {'text/plain': output.get('text')})
            if 'image/jpeg' in data:
                yield f'![output](data:image/jpeg;base64,{"".join(data["image/jpeg"]).strip()})'
            else:
                yield _listing(''.join(data['text/plain']), '{.text .output}')


def _listing(text: str, language: str) -> str:
    return f'`````{language}\n{text.strip()}\n`````'
