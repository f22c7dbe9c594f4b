"""Mutations of files, numbered: a number always gives the same mutation of the same content."""

import copy
import json
import pickletools
import random
import struct

HUGE = (2**31 - 1, 2**32 - 1, 2**40, 2**63 - 1, 2**64 - 1)


def _span(content, dice, most=64):
    start = dice.randrange(len(content))
    return start, min(len(content), start + dice.randint(1, most))


def flip(content, dice):
    position = dice.randrange(len(content))
    content[position] ^= 1 << dice.randrange(8)
    return content


def overwrite(content, dice):
    content[dice.randrange(len(content))] = dice.randrange(256)
    return content


def insert(content, dice):
    position = dice.randrange(len(content) + 1)
    return content[:position] + dice.randbytes(dice.randint(1, 8)) + content[position:]


def delete(content, dice):
    start, end = _span(content, dice, 8)
    return content[:start] + content[end:]


def truncate(content, dice):
    return content[: dice.randrange(len(content))]


def double(content, dice):
    start, end = _span(content, dice)
    return content[:end] + content[start:]


def swap(content, dice):
    one, other = sorted(dice.randrange(len(content)) for _ in range(2))
    size = min(other - one, len(content) - other, 64)
    parts = content[one : one + size], content[other : other + size]
    content[other : other + size], content[one : one + size] = parts
    return content


def zero(content, dice):
    start, end = _span(content, dice)
    content[start:end] = bytes(end - start)
    return content


def huge_number(content, dice):
    """A length field, perhaps: a huge little-endian number of 4 or 8 bytes."""
    number = struct.pack('<Q', dice.choice(HUGE))[: dice.choice((4, 8))]
    start = dice.randrange(max(1, len(content) - 8))
    content[start : start + len(number)] = number
    return content


def digit(content, dice):
    """Another digit in a text, if there is one."""
    found = [position for position, byte in enumerate(content) if chr(byte).isdecimal()]
    if found:
        content[dice.choice(found)] = ord(dice.choice('0123456789'))
    return content


CHANGES = (flip, overwrite, insert, delete, truncate, double, swap, zero, huge_number, digit)


def bytes_mutations(content, count, changes=CHANGES, first=0, last=None):
    """Yield `count` labels and contents; positions lie in a range of the bytes, by default all."""
    last = len(content) if last is None else last
    for number in range(count):
        change = changes[number % len(changes)]
        inner = change(bytearray(content[first:last]), random.Random(number))
        yield f'{change.__name__} {number}', content[:first] + bytes(inner) + content[last:]


def whole_files(content):
    """What is another file altogether; None is a folder in its place."""
    yield 'folder', None
    yield 'empty', b''
    yield 'zeros', bytes(len(content))
    yield 'noise', random.Random(0).randbytes(256)
    yield 'html', b'<!DOCTYPE html><html><body>404</body></html>'
    yield 'twice', content * 2


def encodings(text):
    """A text in encodings that say nothing of themselves, and cut within a letter."""
    for name in ('utf-16-le', 'utf-32-be', 'latin-1', 'shift_jis'):
        yield name, text.encode(name, 'replace')
    yield 'cut', text.encode() + b'\xc3'
    yield 'null', text.encode() + b'\0'


class Raw(str):
    """A json token that Python's values cannot express."""


WRONG = (
    *(None, True, False, '', ' ', 'x', '1', '../x', 'é\0', '\ud800', [], {}, [[]], [None], [1]),
    *([{}], {'id': 1}, 0, -1, 1, 1.5, 10**9, 2**63, -(10**30), 1e308),
    *(Raw('NaN'), Raw('-Infinity'), Raw('1e400'), Raw('9' * 5000)),
    *(Raw('[' * 900 + ']' * 900), Raw('{"a":' * 20_000 + '1' + '}' * 20_000)),
)
"""Values of the wrong kind, at one place or another."""


def _nodes(tree, path=()):
    yield path
    if isinstance(tree, list):
        tree = dict(enumerate(tree))
    for key, value in tree.items() if isinstance(tree, dict) else ():
        yield from _nodes(value, (*path, key))


def _dump(tree):
    """Json of a tree with `Raw` tokens and doubled keys (name + any number of `~`)."""
    tokens = []

    def marked(node):
        if isinstance(node, Raw):
            tokens.append(node)
            return f'@token{len(tokens) - 1}@'
        if isinstance(node, dict):
            return {key: marked(value) for key, value in node.items()}
        return [marked(value) for value in node] if isinstance(node, list) else node

    text = json.dumps(marked(tree)).replace('~"', '"')
    for number, token in enumerate(tokens):
        text = text.replace(f'"@token{number}@"', token)
    return text.encode()


def json_mutations(tree, count=None, wrong=WRONG):
    """Yield labels and contents: every node replaced, lost, renamed or doubled; or `count` of them.

    The label is the path of the node and the change.
    """
    changes = [
        (path, change)
        for path in _nodes(tree)
        for change in (*range(len(wrong)), *(('lose', 'rename', 'double') if path else ()))
    ]
    if count is not None:
        changes = random.Random(0).sample(changes, min(count, len(changes)))
    for path, change in changes:
        changed = {'root': copy.deepcopy(tree)}
        *inner, key = ('root', *path)
        parent = changed
        for part in inner:
            parent = parent[part]
        if change == 'lose':
            del parent[key]
        elif change == 'rename' and isinstance(parent, dict):
            parent[f'{key}s'] = parent.pop(key)
        elif change == 'double' and isinstance(parent, dict):
            parent[f'{key}~'] = copy.deepcopy(parent[key])
        elif isinstance(change, str):
            parent.append(copy.deepcopy(parent[key]))
        else:
            parent[key] = wrong[change]
        name = change if isinstance(change, str) else f'= {wrong[change]!r:.20}'
        yield f'{"/".join(map(str, path))} {name}', _dump(changed['root'])


def payloads(trap):
    """Pickle opcodes that call something that makes the file `trap`, unless they are refused."""
    words = f"open({str(trap)!r}, 'w')"
    for name, argument in (
        ('posix\nsystem', f'touch {trap}'),
        ('builtins\neval', words),
        ('builtins\nexec', words),
        ('__builtin__\neval', words),
        ('os\nmkdir', str(trap)),
        ('numpy\nsave', str(trap)),
        ('torch\nsave', str(trap)),
        ('clipself_mm.io.atomic_write\nsave_json', str(trap)),
    ):
        yield b'c%b\n(X%b%btR0' % (
            name.encode(),
            struct.pack('<I', len(argument)),
            argument.encode(),
        )


def pickle_injections(content, trap, count):
    """Yield labels and pickles with a payload before an opcode; the stack is as it was."""
    places = [place for _, _, place in pickletools.genops(content)]
    start = 1 if content[:1] == b'\x80' else 0
    texts = list(payloads(trap))
    for number in range(count):
        place = random.Random(number).choice(places[start:])
        text = texts[number % len(texts)]
        yield f'payload {number}', content[:place] + text + content[place:]
