"""The command `clipself-mm`, which runs the tools: `clipself-mm detect photo.png`.

It lies beside the package, not in it: importing the package takes seconds, and a list of commands
should not. So only the standard library is used here.
"""

from __future__ import annotations

import ast
import re
import runpy
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import NoReturn

HERE = Path(__file__).parent
ALIASES = {
    'detect': 'image_demo',
    'export': 'export_detector',
    'label': 'label_images',
    'panoptic': 'panoptic_image',
    'segment': 'segment_image',
    'tune': 'tune_scores',
    'video': 'detect_video',
}
"""Commands with another name than their tool."""
LEFT_OUT = {'diff_configs': 'it compares git revisions of a checkout'}
"""Tools that are no commands, and why."""


def find_tools() -> dict[str, Path]:
    """Commands and the files of their tools, in an installed package or in a checkout."""
    places = (HERE / 'clipself_mm/.mim/tools', HERE / 'tools')
    folder = next(path for path in places if path.is_dir())
    names = {tool: name for name, tool in ALIASES.items()}
    found = {
        names.get(path.stem, path.stem.replace('_', '-')): path
        for path in folder.glob('*.py')
        if path.stem not in LEFT_OUT
    }
    return dict(sorted(found.items()))


def describe(tool: Path) -> str:
    """What a tool does: the first line of its docstring, without the call that may follow."""
    text = ast.get_docstring(ast.parse(tool.read_text(encoding='utf-8'))) or ''
    return re.split(r'[:(`\s]*(?:python )?tools/', text.split('\n')[0])[0].rstrip('.')


def list_commands() -> str:
    """The text of `--help`."""
    tools = find_tools()
    width = max(map(len, tools))
    return '\n'.join(
        (
            'usage: clipself-mm COMMAND [options]\n',
            *(f'  {name:<{width}}  {describe(tool)}' for name, tool in tools.items()),
            '\nclipself-mm COMMAND --help lists the options of a command.',
        )
    )


def main(words: Sequence[str] | None = None) -> None:
    """Run a tool in this process, with its exit code.

    Args:
        words: Command and options; by default those of the command line.
    """
    command, *options = (sys.argv[1:] if words is None else words) or ['--help']
    if command in ('-h', '--help'):
        print(list_commands())
    elif command == '--version':
        print(runpy.run_path(str(HERE / 'clipself_mm/version.py'))['__version__'])
    elif (tool := find_tools().get(command)) is None:
        _fail(command)
    else:
        _run(tool, [f'clipself-mm {command}', *options])


def _run(tool: Path, words: list[str]) -> None:
    """As `python TOOL` does it, but the tool's own help begins with `words[0]` (runpy's not)."""
    module = ModuleType('__main__')
    module.__file__ = str(tool)
    sys.argv, sys.modules['__main__'] = words, module
    exec(compile(tool.read_bytes(), tool, 'exec'), vars(module))


def _fail(command: str) -> NoReturn:
    """End with the commands, or tools, of a similar name."""
    names = {tool.stem: name for name, tool in find_tools().items()}
    names |= {name: name for name in names.values()}
    similar = get_close_matches(command, names, n=3)
    hint = ' or '.join(dict.fromkeys(names[name] for name in similar)) or 'clipself-mm --help'
    print(f'clipself-mm: error: there is no {command!r}: try {hint}', file=sys.stderr)
    sys.exit(2)


if __name__ == '__main__':
    main()
