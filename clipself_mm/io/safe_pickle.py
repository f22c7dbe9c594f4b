"""Restricted unpickler with a table of allowed names per file format.

A name that is not in the table is not imported or called.
"""

from __future__ import annotations

import codecs
import math
import os
import pickle
import pickletools
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any, ClassVar

import numpy as np

from .text_files import require_file


class ForbiddenNameError(pickle.UnpicklingError):
    """A pickle refers to a name that its format does not allow."""


class Placeholder:
    """Replaces an object that is not needed; ignores all arguments and state."""

    def __new__(cls, *args: object, **kwargs: object) -> Placeholder:
        """Ignore the arguments."""
        return super().__new__(cls)

    def __init__(self, *args: object, **kwargs: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass

    def __setitem__(self, key: object, value: object) -> None:
        pass

    def append(self, item: object) -> None:
        """Ignore an item."""

    def extend(self, items: object) -> None:
        """Ignore items."""


class StateHolder:
    """Replaces an object of which only the attributes are needed; its class is not imported."""

    state: object = None

    def __setstate__(self, state: object) -> None:
        self.state = state


class Builder:
    """A function that a pickle may call but on which it cannot set state.

    Args:
        build: The function.
    """

    __slots__ = ('_build',)

    def __init__(self, build: Callable[..., object]) -> None:
        self._build = build

    def __call__(self, *args: object) -> object:
        """Call the function."""
        return self._build(*args)

    def __setstate__(self, state: object) -> None:
        raise pickle.UnpicklingError('the pickle sets state on a function')


def _encode(text: str, encoding: str) -> bytes:
    """Protocol 2 stores the bytes of an array as latin1 text; other codecs are not allowed."""
    if encoding != 'latin1':
        raise ForbiddenNameError(f'_codecs.encode to {encoding!r}')
    return codecs.encode(text, 'latin1')


def _dtype(name: object, *_: object) -> np.dtype:
    """Numbers, text, bytes and objects; a pickle can set a false layout on a structure."""
    if not isinstance(name, str) or not re.fullmatch(r'[biufcSUO]\d*', name):
        raise pickle.UnpicklingError(f'an array of type {name!r:.80}')
    return np.dtype(name, copy=True)  # the pickle sets its byte order


def _dtype_state(dtype: np.dtype, state: Any) -> tuple:  # noqa: ANN401
    """The byte order of a state; all else is the dtype's own."""
    if (
        not isinstance(state, tuple)
        or len(state) < 7
        or any(part is not None for part in state[2:5])
    ):
        raise pickle.UnpicklingError(f'an array of type {state!r:.80}')
    if state[1] not in ('<', '>', '|', '='):
        raise pickle.UnpicklingError(f'an array of byte order {state[1]!r:.80}')
    sizes = (dtype.itemsize, dtype.alignment) if dtype.kind in 'SU' else (-1, -1)
    return 3, state[1], None, None, None, *sizes, dtype.flags


def _array_state(state: Any) -> tuple:  # noqa: ANN401
    """A state whose content fills its shape; numpy does not count objects."""
    _, shape, dtype, _, content = state
    size = math.prod(_counts(shape))
    right = isinstance(content, list) if dtype.hasobject else isinstance(content, bytes)
    if not right or len(content) != size * (1 if dtype.hasobject else dtype.itemsize):
        raise pickle.UnpicklingError(f'an array of shape {shape} with another size')
    return state


def _counts(shape: Any) -> tuple[int, ...]:  # noqa: ANN401
    if not isinstance(shape, tuple) or not all(type(n) is int and n >= 0 for n in shape):
        raise pickle.UnpicklingError(f'an array of shape {shape!r:.80}')
    return shape


def _from_buffer(content: bytes, dtype: np.dtype, shape: Any, order: str) -> np.ndarray:  # noqa: ANN401
    return np.frombuffer(content, dtype).reshape(_counts(shape), order=order)  # type: ignore[call-overload]


_SCALAR: Any = np.float64(0)

ARRAYS: Mapping[str, object] = {
    '_codecs.encode': Builder(_encode),
    'builtins.bytes': Builder(lambda: b''),
    'builtins.set': set,
    'collections.OrderedDict': OrderedDict,
    'numpy.core.multiarray._reconstruct': Builder(lambda *_: np.empty(0)),
    'numpy.core.numeric._frombuffer': Builder(_from_buffer),
    'numpy.dtype': Builder(_dtype),
    'numpy.ndarray': 'numpy.ndarray',
}
"""Arrays and containers. What is called with a size would take the memory of that size."""

SCALARS: Mapping[str, object] = {'numpy.core.multiarray.scalar': Builder(_SCALAR.__reduce__()[0])}
"""Scalars of numpy."""


_ARGUMENT = {ord(code.code): code.arg.n if code.arg else 0 for code in pickletools.opcodes}
"""Bytes of an opcode's argument; negative as in `pickletools`: a line, or a count before it."""
_COUNT_BYTES = {
    pickletools.TAKEN_FROM_ARGUMENT1: 1,
    pickletools.TAKEN_FROM_ARGUMENT4: 4,
    pickletools.TAKEN_FROM_ARGUMENT4U: 4,
    pickletools.TAKEN_FROM_ARGUMENT8U: 8,
}
_TWO_LINES = frozenset(b'ci')
_PUT, _LONG_BINPUT, _FRAME = b'pr\x95'


def check_sizes(file: IO[bytes]) -> None:
    """Check the lengths in a pickle and its numbers of objects; the position does not change.

    Python's unpickler allocates what a text says of its length, and a table up to the largest
    number of an object: a file of 9 bytes takes gigabytes. Writers count from 0 or 1.

    Args:
        file: Opened in binary mode, at the start of a pickle. What is not a pickle passes.

    Raises:
        UnpicklingError: A length is larger than the rest of the file, or a number larger than the
            count of opcodes before it.
    """
    start, count = file.tell(), 0
    end = file.seek(0, os.SEEK_END)
    file.seek(start)
    while (code := file.read(1)) and code != b'.':
        count += 1
        size = _ARGUMENT.get(code[0])
        if size is None:
            break
        if size >= 0:
            _check_length(size, end - file.tell())
            argument = file.read(size)
        elif size == pickletools.UP_TO_NEWLINE:
            argument = _line(file)
            if code[0] in _TWO_LINES:
                _line(file)
        else:
            _check_length(_COUNT_BYTES[size], end - file.tell())
            length = int.from_bytes(file.read(_COUNT_BYTES[size]), 'little')
            _check_length(length, end - file.tell())
            file.seek(length, os.SEEK_CUR)
            continue
        if code[0] == _FRAME:
            _check_length(int.from_bytes(argument, 'little'), end - file.tell())
            continue
        if code[0] == _LONG_BINPUT:
            number = int.from_bytes(argument, 'little')
        elif code[0] == _PUT:
            number = int(argument[:20]) if argument[:20].strip().isdigit() else count + 1
        else:
            continue
        if number > count:
            raise pickle.UnpicklingError(f'object {count} of the pickle has the number {number}')
    file.seek(start)


def _line(file: IO[bytes]) -> bytes:
    line = file.readline()
    if not line.endswith(b'\n'):
        raise pickle.UnpicklingError('a line of the pickle is cut off')
    return line


def _check_length(length: int, left: int) -> None:
    if length > left:
        raise pickle.UnpicklingError(f'a part of {length} bytes, of which the file has {left}')


class SafeUnpickler(pickle._Unpickler):
    """Unpickles the names of a table only.

    It is the unpickler written in Python, which hands over each state that an object gets: numpy
    takes any, and reads beyond an array or changes numbers.

    Args:
        file: Opened in binary mode, seekable.
        allowed: Full name to the object to use. Names are those of numpy 1 and Python 3; numpy 2's
            `numpy._core` and Python 2's `__builtin__` are translated.
        ignored: Names whose objects become a `Placeholder`.
        **kwargs: As in `pickle.Unpickler`.
    """

    stack: list[Any]

    def __init__(
        self,
        file: IO[bytes],
        allowed: Mapping[str, object],
        ignored: re.Pattern[str] | None = None,
        **kwargs: Any,
    ) -> None:
        check_sizes(file)
        super().__init__(file, **kwargs)
        self._allowed = allowed
        self._ignored = ignored

    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401
        """Look a name up in the tables."""
        full = f'{module}.{name}'.replace('numpy._core.', 'numpy.core.')
        full = full.replace('__builtin__.', 'builtins.')
        if full in self._allowed:
            return self._allowed[full]
        if self._ignored is not None and self._ignored.fullmatch(full):
            return Placeholder
        raise ForbiddenNameError(f'{module}.{name}')

    def load_build(self) -> None:
        """Set the state of an object."""
        value, state = self.stack[-2:]
        if isinstance(value, np.ndarray):
            self.stack[-1] = _array_state(state)
        elif isinstance(value, np.dtype):
            self.stack[-1] = _dtype_state(value, state)
        super().load_build()  # type: ignore[misc]

    dispatch: ClassVar[dict] = {**pickle._Unpickler.dispatch, pickle.BUILD[0]: load_build}


def load_pickle(path: str | Path, allowed: Mapping[str, object], expected: str) -> object:
    """Read a pickle file.

    Args:
        path: The file.
        allowed: See `SafeUnpickler`.
        expected: Description of the expected file, for errors.

    Raises:
        FileNotFoundError, IsADirectoryError: The file does not exist.
        ValueError: The file is broken or refers to a name that is not allowed.
    """
    require_file(path, expected)
    with open(path, 'rb') as stream:
        try:
            return SafeUnpickler(stream, allowed).load()
        except ForbiddenNameError as error:
            raise ValueError(
                f'{path}: the pickle refers to {error}, which was not imported; expected {expected}'
            ) from error
        except Exception as error:  # broken pickles raise many kinds of errors
            raise ValueError(
                f'{path} is not a valid pickle ({error!r:.120}); expected {expected}'
            ) from error
