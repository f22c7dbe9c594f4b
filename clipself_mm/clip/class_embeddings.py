"""Class embeddings on disk: `.pt` dictionary, `.npy` table, `.safetensors` with names and origin.

The first two are what existing configs read. The third says what it holds: the classes, the
prompts, the synonyms and the CLIP.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
import torch.nn.functional as F
from torch import Tensor

from clipself_mm.io.atomic_write import atomic_write

from .embedding_metadata import EmbeddingMetadata
from .weights.weight_file import read_weight_file

#: Word that stands for everything that is no class; the last row where it is there.
BACKGROUND = 'background'

_FORMAT = 'clipself_mm class embeddings'
_VERSION = '1'
_LISTED = 20
_EXPECTED = {
    '.pt': 'a dictionary of class name to vector, written by torch.save',
    '.npy': 'a table of K rows and D columns, written by numpy.save',
    '.safetensors': "a tensor 'embeddings' with its classes in the header, as "
    'tools/make_text_embeddings.py writes it',
}


def check_suffix(path: str | Path) -> str:
    """The suffix of a file of class embeddings, which says its format.

    Raises:
        ValueError: It is none of the three.
    """
    suffix = Path(path).suffix
    if suffix not in _EXPECTED:
        raise ValueError(
            f'{path}: class embeddings are a {", ".join(_EXPECTED)} file, not {suffix!r}'
        )
    return suffix


def save_class_embeddings(
    path: str | Path,
    classes: Sequence[str],
    embeddings: Tensor,
    origin: EmbeddingMetadata | None = None,
) -> None:
    """Write embeddings of classes in the format that the suffix names, complete or not at all.

    Args:
        path: File to write; its folder is made. A `.npy` keeps the order and no names.
        classes: K names.
        embeddings: Shape (K, D).
        origin: What they were made of; only `.safetensors` keeps it.

    Raises:
        ValueError: The suffix is another, the counts differ, or a name is doubled.
    """
    suffix = check_suffix(path)
    if embeddings.ndim != 2 or len(classes) != len(embeddings):
        raise ValueError(
            f'{path}: {len(classes)} classes, embeddings of shape {tuple(embeddings.shape)}'
        )
    if len(set(classes)) < len(classes):
        raise ValueError(f'{path}: a class is listed twice in {list(classes)!r:.200}')
    table = embeddings.detach().float().cpu().contiguous()
    buffer = io.BytesIO()
    if suffix == '.pt':
        torch.save({name: row.clone() for name, row in zip(classes, table, strict=True)}, buffer)
    elif suffix == '.npy':
        np.save(buffer, table.numpy())
    else:
        names = json.dumps(list(classes), ensure_ascii=False)
        header = dict(format=_FORMAT, format_version=_VERSION, classes=names)
        header |= (origin or EmbeddingMetadata()).to_json()
        buffer.write(safetensors.torch.save({'embeddings': table}, header))
    with atomic_write(path, durable=True) as part:
        part.write_bytes(buffer.getvalue())


def read_named_embeddings(path: str | Path) -> dict[str, Tensor]:
    """Read all embeddings of a file that names its classes.

    Args:
        path: A `.pt` or `.safetensors` file; a `.npy` table names nothing and gives {}.

    Returns:
        Name to unit vector, shape (D).

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The suffix is another, or the file is broken or something else.
    """
    names, table = _read(_existing(path))
    return {} if names is None else dict(zip(names, F.normalize(table, dim=-1), strict=True))


def load_class_embeddings(path: str | Path, classes: Sequence[str]) -> Tensor:
    """Read the embeddings of classes, in the order of the vocabulary.

    Args:
        path: A `.pt` or `.safetensors` file, which may hold more classes; or a `.npy` table whose
            rows are the classes in this order, with one row more for the background at the end
            or not.
        classes: K names.

    Returns:
        Unit vectors, shape (K, D).

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: As in `read_named_embeddings`; or the file lacks a class, or a table has not
            one row a class.
    """
    path = _existing(path)
    names, table = _read(path)
    if names is None:
        return F.normalize(_rows_of(table, classes, path), dim=-1)
    place = {name: row for row, name in enumerate(names)}
    lacking = [name for name in classes if name not in place]
    if lacking:
        listed = ', '.join(lacking[:_LISTED]) + ', ...' * (len(lacking) > _LISTED)
        raise ValueError(
            f'{path}: lists {len(names)} classes, the vocabulary has {len(classes)}; '
            f'lacking {listed}{near_misses(lacking, names)}'
        )
    return F.normalize(table[[place[name] for name in classes]], dim=-1)


def read_origin(path: str | Path) -> EmbeddingMetadata:
    """What the embeddings of a file were made of; `.pt` and `.npy` do not say.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: As in `read_named_embeddings`.
    """
    path = _existing(path)
    if check_suffix(path) != '.safetensors':
        return EmbeddingMetadata()
    return _guarded(path, lambda path: EmbeddingMetadata.from_json(_open_safetensors(path)[0]))


def near_misses(wanted: Iterable[str], found: Iterable[str]) -> str:
    """A hint for an error: names that are there, but spelt with another case, "_", "-" or space.

    Args:
        wanted: Names of the vocabulary that were not found.
        found: Names of the file.

    Returns:
        Text to put behind the error, empty if there is no such name.
    """
    spelt = {_folded(name): name for name in found}
    pairs = [(spelt[_folded(name)], name) for name in wanted if _folded(name) in spelt]
    hints = [f'; found {there!r}, the vocabulary has {name!r}' for there, name in pairs]
    return ''.join(hints[:_LISTED]) + '; ...' * (len(hints) > _LISTED)


def _folded(name: str) -> str:
    return ' '.join(re.split(r'[\s_-]+', name.strip().casefold()))


def _existing(path: str | Path) -> Path:
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f'{path}: no such file; tools/make_text_embeddings.py writes class embeddings'
        )
    return path


def _rows_of(table: Tensor, classes: Sequence[str], path: Path) -> Tensor:
    """The rows of a table without names, counted; a background that is not asked for goes."""
    count = len(classes)
    if len(table) == count + 1 and BACKGROUND not in classes:
        return table[:-1]
    if len(table) != count:
        last = 'the background last' if BACKGROUND in classes else 'or one more, the background'
        raise ValueError(
            f'{path}: a table of shape {tuple(table.shape)} for {count} classes; expected a row '
            f'for each in their order, {last}'
        )
    return table


def _read(path: Path) -> tuple[list[str] | None, Tensor]:
    """Names, or None where a file has none, and their vectors, shape (K, D), of any length."""
    reader = {'.pt': _read_dictionary, '.npy': _read_table, '.safetensors': _read_safetensors}
    names, table = _guarded(path, reader[check_suffix(path)])
    return names, table


def _guarded(path: Path, reader: Callable) -> object:
    """What `reader` gives, or one ValueError that names the file and what was expected."""
    try:
        return reader(path)
    except Exception as error:  # broken bytes fail in any way
        why = (str(error).splitlines() or [repr(error)])[0]
        raise ValueError(
            f'{path}: not a whole file of class embeddings: expected '
            f'{_EXPECTED[path.suffix]}: {why}'
        ) from error


def _read_dictionary(path: Path) -> tuple[list[str], Tensor]:
    content = read_weight_file(path)
    wrong = [key for key in content if not isinstance(key, str)]
    if wrong:
        raise ValueError(f'found the key {wrong[0]!r}')
    rows = [torch.as_tensor(row).float().flatten() for row in content.values()]
    lengths = sorted({len(row) for row in rows})
    if len(lengths) != 1:
        raise ValueError(f'found vectors of {lengths[:5]} length')
    return list(content), _checked(torch.stack(rows))


def _read_table(path: Path) -> tuple[None, Tensor]:
    return None, _checked(torch.from_numpy(np.load(path, allow_pickle=False)).float())


def _read_safetensors(path: Path) -> tuple[list[str], Tensor]:
    header, table = _open_safetensors(path)
    names = json.loads(header['classes'])
    if not isinstance(names, list) or len(set(names)) != len(table):
        raise ValueError(f'found {len(table)} rows, and classes {names!r:.80}')
    return names, _checked(table.float())


def _open_safetensors(path: Path) -> tuple[dict[str, str], Tensor]:
    """Header and table of a file that is ours."""
    with safetensors.safe_open(path, framework='pt') as file:
        header = file.metadata() or {}
        if header.get('format') != _FORMAT:
            raise ValueError(f'found {sorted(file.keys())[:5]}, made by something else')
        if header.get('format_version') != _VERSION:
            raise ValueError(
                f'found format version {header.get("format_version")}, known is {_VERSION}'
            )
        return header, file.get_tensor('embeddings')


def _checked(table: Tensor) -> Tensor:
    if table.ndim != 2:
        raise ValueError(f'found the shape {tuple(table.shape)}')
    bad = (~table.isfinite()).any(1).nonzero()
    if len(bad):
        raise ValueError(f'found values that are not finite, the first in row {int(bad[0])}')
    return table
