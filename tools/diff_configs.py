r"""Compare the resolved configs of two git revisions.

python tools/diff_configs.py main                        # against the working tree
python tools/diff_configs.py v1.0 v1.1 --only 'fvit/*' --runner
python tools/diff_configs.py main --map 'shapes/old.py=shapes/new.py model.tower.checkpoint=FILE'

Every config outside of `_base_` is resolved by mmengine on both sides. Printed are the flattened
keys that were added (+), removed (-) or changed (~), the configs of one side only, and a summary
that counts the configs of each change. The exit status is that of diff: 0 if nothing differs.
"""

from __future__ import annotations

import argparse
import inspect
import io
import json
import shlex
import subprocess
import sys
import tarfile
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path

from mmengine.config import Config, DictAction
from mmengine.runner import Runner

FOLDER = 'configs'
MISSING = '(none)'
READ_BY_TOOLS = ('custom_imports', 'tta_model', 'tta_pipeline')


def git(*arguments: str) -> bytes:
    """What a git command prints; its own error message ends the program."""
    done = subprocess.run(['git', *arguments], capture_output=True)
    if done.returncode:
        raise SystemExit(f'error: git {shlex.join(arguments)}: {done.stderr.decode().strip()}')
    return done.stdout


def check_out(revision: str | None, target: Path) -> Path:
    """The folder that holds the configs of a revision; of the working tree for None."""
    root = git('rev-parse', '--show-toplevel').decode().strip()
    if revision is None:
        return Path(root, FOLDER)
    archive = io.BytesIO(git('-C', root, 'archive', '--format=tar', revision, FOLDER))
    with tarfile.open(fileobj=archive) as tar:
        tar.extractall(target)
    return target / FOLDER


def leaves(folder: Path) -> list[str]:
    """Paths of the configs below a folder, without those of `_base_`."""
    paths = (path.relative_to(folder) for path in sorted(folder.rglob('*.py')))
    return [path.as_posix() for path in paths if '_base_' not in path.parts]


def flatten(value: object, prefix: str = '') -> Iterator[tuple[str, object]]:
    """Leaves of a tree of dicts and lists by dotted key; a list without dicts is one leaf."""
    if isinstance(value, dict) and value:
        items = value.items()
    elif isinstance(value, (list, tuple)) and any(isinstance(item, dict) for item in value):
        items = enumerate(value)
    else:
        yield prefix, value
        return
    for key, item in items:
        yield from flatten(item, f'{prefix}.{key}' if prefix else str(key))


def resolve(folder: Path, name: str, options: Sequence[str] = ()) -> dict[str, str]:
    """Flattened key to printed value of a config with `--cfg-options`."""
    try:
        config = Config.fromfile(folder / name, import_custom_modules=False)
        parser = argparse.ArgumentParser(exit_on_error=False)
        parser.add_argument('--options', nargs='*', action=DictAction, default={})
        config.merge_from_dict(parser.parse_args(['--options', *options]).options)
    except Exception as error:  # a config may fail in any way
        raise SystemExit(f'error: {folder / name}: {type(error).__name__}: {error}') from error
    return {key: repr(value).replace(f'{folder}/', '') for key, value in flatten(config.to_dict())}


def compare(old: dict[str, str], new: dict[str, str]) -> list[tuple[str, str, str, str]]:
    """Changes as (sign, key, old value, new value), in the order of the keys."""
    changes = []
    for key in dict.fromkeys([*old, *new]):
        before, after = old.get(key, MISSING), new.get(key, MISSING)
        if before != after:
            sign = '+' if key not in old else '-' if key not in new else '~'
            changes.append((sign, key, before, after))
    return changes


def read_map(entries: Sequence[str]) -> dict[str, tuple[str, list[str]]]:
    """Old name to new name and its options.

    Args:
        entries: 'OLD=NEW [KEY=VALUE ...]', or files with such lines or a json object
            {OLD: 'NEW [KEY=VALUE ...]'}.
    """
    lines = []
    for entry in entries:
        if not Path(entry).is_file():
            lines.append(entry)
            continue
        text = Path(entry).read_text()
        if text.lstrip().startswith('{'):
            lines += [f'{old}={new}' for old, new in json.loads(text).items()]
        else:
            lines += [line for line in text.splitlines() if line.strip() and line[0] != '#']
    pairs = {}
    for line in lines:
        first, *options = shlex.split(line)
        old, equals, new = first.partition('=')
        if not (old and equals and new):
            raise SystemExit(f'error: --map: neither OLD=NEW nor a file: {line!r}')
        pairs[old.removeprefix(f'{FOLDER}/')] = (new.removeprefix(f'{FOLDER}/'), options)
    return pairs


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('old', metavar='REV_A', help='git revision')
    parser.add_argument('new', metavar='REV_B', nargs='?', help='git revision (working tree)')
    parser.add_argument(
        '--map',
        nargs='+',
        default=[],
        metavar='OLD=NEW',
        help="renamed configs: 'OLD=NEW [KEY=VALUE ...]' with the --cfg-options that make NEW of "
        'OLD, or files with such lines or a json object {OLD: NEW}',
    )
    parser.add_argument(
        '--only', metavar='GLOB', default='*', help='names below configs/, of either side'
    )
    parser.add_argument(
        '--ignore', nargs='+', default=[], metavar='GLOB', help='flattened keys to leave out'
    )
    parser.add_argument(
        '--runner', action='store_true', help='only what runner and tools read, no variables'
    )
    parser.add_argument('--summary', action='store_true', help='print the summary alone')
    return parser.parse_args()


def main() -> None:
    """Compare and print."""
    args = parse_args()
    renamed = read_map(args.map)
    read = {*inspect.signature(Runner.__init__).parameters, *READ_BY_TOOLS}

    def counts(key: str) -> bool:
        return not any(fnmatch(key, pattern) for pattern in args.ignore) and (
            not args.runner or key.partition('.')[0] in read
        )

    with tempfile.TemporaryDirectory() as temporary:
        folders = [
            check_out(revision, Path(temporary, side))
            for revision, side in ((args.old, 'a'), (args.new, 'b'))
        ]
        old_names, new_names = map(leaves, folders)
        lacking = [name for name in renamed if name not in old_names]
        lacking += [new for new, _ in renamed.values() if new not in new_names]
        if lacking:
            raise SystemExit(f'error: --map: no such configs: {lacking}')
        pairs = [(old, *renamed.get(old, (old, []))) for old in old_names]
        pairs = [pair for pair in pairs if any(fnmatch(name, args.only) for name in pair[:2])]
        totals, differ = Counter(), 0
        gone = [old for old, new, _ in pairs if new not in new_names]
        reached = {new for _, new, _ in pairs}
        added = [name for name in new_names if name not in reached and fnmatch(name, args.only)]
        for old, new, options in pairs:
            if new not in new_names:
                continue
            found = compare(resolve(folders[0], old), resolve(folders[1], new, options))
            found = [change for change in found if counts(change[1])]
            totals.update(found)
            differ += bool(found)
            if found and not args.summary:
                print(old if old == new else ' '.join([f'{old} -> {new}', *options]))
                for change in found:
                    print('  ' + line_of(*change))
    for title, names in ((f'only in {args.old}', gone), (f'only in {args.new or "tree"}', added)):
        if names:
            print(f'{title}: {len(names)}', *names, sep='\n  ')
    print(f'compared {len(pairs) - len(gone)} configs, {differ} differ')
    for change, number in sorted(totals.items(), key=lambda item: (item[0][1], -item[1])):
        print(f'{number:5d} x {line_of(*change)}')
    sys.exit(bool(differ or gone or added))


def line_of(sign: str, key: str, before: str, after: str) -> str:
    """One change in print."""
    if sign == '~':
        return f'~ {key}: {before} -> {after}'
    return f'{sign} {key}: {after if sign == "+" else before}'


if __name__ == '__main__':
    main()
