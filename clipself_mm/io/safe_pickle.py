"""Restricted unpickler with a table of allowed names per file format.

A name that is not in the table is not imported or called.
"""

from __future__ import annotations

import codecs
import pickle
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np


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


_ARRAY: Any = np.empty(1)
_SCALAR: Any = np.float64(0)

ARRAYS: Mapping[str, object] = {
    '_codecs.encode': Builder(_encode),
    'builtins.bytes': bytes,
    'builtins.set': set,
    'collections.OrderedDict': OrderedDict,
    'numpy.core.multiarray._reconstruct': Builder(_ARRAY.__reduce_ex__(2)[0]),
    'numpy.core.numeric._frombuffer': Builder(_ARRAY.__reduce_ex__(5)[0]),
    'numpy.dtype': np.dtype,
    'numpy.ndarray': np.ndarray,
}
"""Arrays and containers."""

SCALARS: Mapping[str, object] = {'numpy.core.multiarray.scalar': Builder(_SCALAR.__reduce__()[0])}
"""Scalars of numpy."""


class SafeUnpickler(pickle.Unpickler):
    """Unpickles the names of a table only.

    Args:
        file: Opened in binary mode.
        allowed: Full name to the object to use. Names are those of numpy 1 and Python 3; numpy 2's
            `numpy._core` and Python 2's `__builtin__` are translated.
        ignored: Names whose objects become a `Placeholder`.
        **kwargs: As in `pickle.Unpickler`.
    """

    def __init__(
        self,
        file: IO[bytes],
        allowed: Mapping[str, object],
        ignored: re.Pattern[str] | None = None,
        **kwargs: Any,
    ) -> None:
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


def load_pickle(path: str | Path, allowed: Mapping[str, object], expected: str) -> object:
    """Read a pickle file.

    Args:
        path: The file.
        allowed: See `SafeUnpickler`.
        expected: Description of the expected file, for errors.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: The file is broken or refers to a name that is not allowed.
    """
    try:
        stream = open(path, 'rb')  # noqa: SIM115, closed below
    except FileNotFoundError as error:
        raise FileNotFoundError(f'{path} does not exist; expected {expected}') from error
    with stream:
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
