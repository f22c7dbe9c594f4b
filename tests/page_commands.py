"""The shell commands of a page of docs, checked without running them.

Arguments go through the tools' own parsers in this process, configs are resolved and keys of
`--cfg-options` looked up in them. A page is followed from its top: weights that a command reads
have to be named further up, as a download, as what a tool writes, or by the training that does.
Pages that show single commands, indented, are checked for the commands alone.
"""

import argparse
import contextlib
import functools
import io
import re
import runpy
import shlex
import sys
from pathlib import Path
from unittest import mock

from mmengine.config import Config, ConfigDict

from clipself_mm.model_index import find_config
from clipself_mm_command import find_tools

ROOT = Path(__file__).parents[1]
DOWNLOADS = {
    'git': ('clone',),
    'hf': ('download',),
    'wget': ('-P',),
}
"""What fetches something: program -> what its first word has to be."""
HOSTS = ('images.cocodataset.org', 'dl.fbaipublicfiles.com')
SHELL = (
    *('.', '$CUDA_HOME/bin/nvcc', 'cd', 'export', 'ln', 'mim', 'mkdir', 'pip'),
    *('python3.11', 'unzip'),
)
"""Programs that are not ours; only the files of the checkout that they name are looked at."""
OURS = (
    *('benchmarks/', 'clipself_mm/', 'configs/', 'docs/', 'projects/'),
    *('requirements/', 'tests/', 'tools/'),
)
GAPS = {'CONFIG', '...'}
RUNS = ('train.py', 'test.py')
PRODUCTS = ('checkpoints/', 'work_dirs/', 'data/coco/annotations/coco_p')


class Parsed(Exception):
    """Carries the command line of a tool out of it, before it does anything."""


def commands(page):
    """Commands in the ```bash blocks of a page: (text of the page before it, words)."""
    for block in re.finditer(r'^```bash\n(.*?)^```', page, re.DOTALL | re.MULTILINE):
        place = block.start(1)
        for line in re.findall(r'(?:[^\n]*\\\n)*[^\n]*\n', block[1]):
            lexer = shlex.shlex(line.replace('\\\n', ' '), posix=True, punctuation_chars='&;')
            lexer.whitespace_split, words = True, []
            for word in (*lexer, ';'):
                if word in ('&&', ';', '&'):
                    if words:
                        yield page[:place], words
                    words = []
                else:
                    words.append(word)
            place += len(line)


def single_commands(page):
    """Words of calls of tools and make that a page shows indented; none with gaps (`...`)."""
    call = (
        r'^    ((?:[A-Z_]+=\S+ )*(?:(?:python )?tools/|make |clipself-mm )(?:[^\n]*\\\n)*[^\n]*)$'
    )
    for line in re.findall(call, page, re.MULTILINE):
        words = shlex.split(line.replace('\\\n', ' '), comments=True)
        if not GAPS & {*words}:
            yield words


def problems_of_single_commands(page):
    """What is wrong with the indented commands of a page, wherever their files come from."""
    return list(complaints((None, words) for words in single_commands(page)))


def problems(page):
    """What is wrong with the commands of a page; each names the command and the word."""
    return list(complaints(commands(page)))


def complaints(commands_with_place):
    """Check command after command."""
    earlier = []
    for above, words in commands_with_place:
        while re.match(r'[A-Z_]+=', words[0]):  # variables of this command alone
            words = words[1:]
        try:
            check_command(words, above, earlier)
        except ValueError as error:
            yield f'{shlex.join(words)}: {error}'
        earlier.append(words)


def check_command(words, above, earlier):
    """Raise ValueError if a command could not run in a checkout after what stands above it.

    Args:
        words: Program and arguments.
        above: Text of the page up to the command, None where it is not to be followed from the top.
        earlier: Words of the commands up to it.
    """
    program, *rest = words
    for word in words:
        if word.startswith(OURS) and not (ROOT / word).exists():
            raise ValueError(f'{word} is not there')
        if (host := re.match(r'https?://([^/]*)', word)) and host[1] not in HOSTS:
            raise ValueError(f'{host[1]} is no known publisher')
    if program in DOWNLOADS:
        if rest[0] not in DOWNLOADS[program]:
            raise ValueError(f'{program} {rest[0]} is not known')
    elif program == 'make':
        check_make(rest)
    elif program in ('tools/dist_train.sh', 'tools/dist_test.sh'):
        tool = ROOT / program.replace('dist_', '').replace('.sh', '.py')
        place = 2 if tool.name == 'test.py' else 1
        if len(rest) <= place or not rest[place].isdigit():
            raise ValueError('the number of GPUs is missing')
        check_tool(tool, [*rest[:place], *rest[place + 1 :]], above, earlier)
    elif program == 'python' and rest[0].startswith(OURS):
        check_tool(ROOT / rest[0], rest[1:], above, earlier)
    elif program == 'clipself-mm':
        tools = find_tools() | {'--help': None}
        if rest[0] not in tools:
            raise ValueError(f'there is no command {rest[0]}')
        if tools[rest[0]] is not None:
            check_tool(tools[rest[0]], rest[1:], above, earlier)
    elif program == 'python' and rest[:2] == ['-m', 'pytest']:
        pass
    elif program not in SHELL:
        raise ValueError(f'{program} is not known')


def check_make(words):
    """Targets and variables of the Makefile."""
    makefile = (ROOT / 'Makefile').read_text()
    for word in words:
        name, equals, _ = word.partition('=')
        known = rf'^{name} \?=|\$\({name}\)' if equals else rf'^{name}:'
        if not re.search(known, makefile, re.MULTILINE):
            raise ValueError(f'the Makefile has no {name}')


def check_tool(tool, arguments, above, earlier):
    """A tool's own parser takes the arguments, and what they name is there."""
    args = vars(parse(tool, tuple(word for word in arguments if word)))
    options = args.get('cfg_options') or {}
    config = None
    if args.get('config'):
        config = ConfigDict(read_config(args['config']).to_dict())
        for key, value in options.items():
            replace(config, key, value, new=above is None)
    if tool.name == 'check_data.py' or above is None:
        return
    read = [args.get(name) for name in ('checkpoint', 'source', 'proposals')]
    read += [*options.values()]
    if config is not None and tool.name in RUNS:
        read += [*files_of(config.model)]
    for path in read:
        if str(path).startswith(PRODUCTS):
            check_product(str(path), above, earlier, config)


@functools.cache
def read_config(path):
    """A config of the checkout, resolved."""
    return Config.fromfile(find_config(path))


@functools.cache
def parse(tool, arguments):
    """The namespace that a tool gets from a command line; nothing is run."""
    original = argparse.ArgumentParser.parse_args

    def stop(self, *given):
        raise Parsed(original(self, *given))

    complaint = io.StringIO()
    with (
        mock.patch.object(argparse.ArgumentParser, 'parse_args', stop),
        mock.patch.object(sys, 'argv', [str(tool), *arguments]),
        mock.patch.object(sys, 'path', [*sys.path]),
        contextlib.redirect_stderr(complaint),
    ):
        try:
            runpy.run_path(str(tool), run_name='__main__')
        except Parsed as parsed:
            return parsed.args[0]
        except SystemExit as end:
            lines = complaint.getvalue().strip().splitlines()
            raise ValueError(lines[-1] if lines else end) from None
    if arguments:
        raise ValueError(f'{tool.name} takes no arguments')
    return argparse.Namespace()


def replace(config, key, value, new):
    """Set a value in a place that the config has; `new`: the last name may be one it has not."""
    *parents, last = key.split('.')
    node = config
    for name in parents:
        node = child(node, name, key)
    if not new:
        child(node, last, key)
    node[int(last) if isinstance(node, list) else last] = value


def child(node, name, key):
    """What a name, or a number of a list, leads to."""
    try:
        return node[int(name) if isinstance(node, (list, tuple)) else name]
    except (KeyError, IndexError, ValueError, TypeError):
        raise ValueError(f'--cfg-options {key}: the config has no {name}') from None


def files_of(node):
    """All strings of a nested config that are paths of weights."""
    if isinstance(node, (dict, list, tuple)):
        for child in node.values() if isinstance(node, dict) else node:
            yield from files_of(child)
    elif isinstance(node, str):
        yield node


def check_product(path, above, earlier, config):
    """A file that is neither ours nor data: some command or table further up makes it."""
    if not path.startswith('work_dirs/'):
        if Path(path).name not in above:
            raise ValueError(f'{path} is not named further up')
        return
    run, name = Path(path).parts[1:3]
    trainings = [words for words in earlier if {'tools/train.py', 'tools/dist_train.sh'} & {*words}]
    if f'work_dirs/{run}' not in map(work_dir_of, trainings):
        raise ValueError(f'{path}: no training above writes work_dirs/{run}')
    if best := re.fullmatch(r'best_(.*)_epoch_\*\.pth', name):
        kept = config.default_hooks.checkpoint.save_best.replace('/', '_')
        if best[1] != kept:
            raise ValueError(f'{path}: the config keeps best_{kept}_epoch_*.pth')


def work_dir_of(words):
    """Where a training command writes."""
    if '--work-dir' in words:
        return words[words.index('--work-dir') + 1]
    config = next(word for word in words if word.startswith('configs/'))
    return f'work_dirs/{Path(config).stem}'
