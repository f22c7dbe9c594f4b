"""Score thresholds per class, from the words of a command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from clipself_mm.io.names import name_key, near_misses
from clipself_mm.io.text_files import read_local_json

DEFAULT = 0.3


def read_thresholds(
    options: Sequence[str], classes: Sequence[str], default: float = DEFAULT
) -> dict[str, float]:
    """Read the score thresholds of all classes.

    Args:
        options: Each a number for all classes (``0.3``), a number for one (``red star=0.5``), or a
            json file that maps names to numbers. A class's own number has precedence.
        classes: The K class names.
        default: For classes without any.

    Returns:
        Class name to its threshold, in the order of `classes`.

    Raises:
        ValueError: A class is unknown or has two thresholds, or a threshold is not in 0-1.
        FileNotFoundError: There is no such file.
    """
    of_all: float | None = None
    own: dict[str, float] = {}
    known = {name_key(name): name for name in classes}
    for option in options:
        if option.lower().endswith('.json'):
            given = read_local_json(option, 'a json file of class names and thresholds')
            if not isinstance(given, Mapping):
                raise ValueError(f'{option}: expected {{"class name": threshold, ...}}')
            pairs = [(f'{option}: {name}', name, value) for name, value in given.items()]
        elif '=' in option:
            name, _, value = option.rpartition('=')
            pairs = [(option, name, value)]
        else:
            if of_all is not None:
                raise ValueError(f'{option}: a threshold for all classes was given before')
            of_all = _number(option, option)
            continue
        for place, name, value in pairs:
            key = name_key(name)
            if key not in known:
                hint = near_misses([key], known) or f', which are {list(classes)!r:.200}'
                raise ValueError(f'{place}: {name!r} is not one of the classes{hint}')
            if known[key] in own:
                raise ValueError(f'{place}: {name!r} has a threshold already')
            own[known[key]] = _number(value, place)
    base = default if of_all is None else of_all
    return {name: own.get(name, base) for name in classes}


def _number(value: object, place: str) -> float:
    """The threshold; `place` is for the error."""
    try:
        if isinstance(value, bool):
            raise TypeError
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        number = float('nan')
    if not 0 <= number <= 1:
        raise ValueError(f'{place}: expected a threshold from 0 to 1, got {value!r}')
    return number
