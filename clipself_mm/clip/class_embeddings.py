"""Class embeddings on disk: `.pt` dictionary, `.npy` table, `.safetensors` with metadata.

Existing configs of others read the first two. The third also holds the class names, the prompts,
the synonyms and the name of the CLIP.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import safetensors.torch
import torch
import torch.nn.functional as F
from torch import Tensor

from clipself_mm.io.atomic_write import atomic_write
from clipself_mm.io.names import name_key, near_misses
from clipself_mm.io.text_files import require_file

from .embedding_metadata import EmbeddingMetadata
from .weights.weight_file import read_weight_file

#: Name of the background class; in a `.npy` file, which has no names, it is the last row.
BACKGROUND = 'background'

_FORMAT = 'clipself_mm class embeddings'
_VERSION = '1'
_MAX_LISTED = 20
_EXPECTED = {
    '.pt': 'a dictionary of class name to vector, written by torch.save',
    '.npy': 'a table of K rows and D columns, written by numpy.save',
    '.safetensors': "a tensor 'embeddings' with its classes in the header, as "
    'tools/make_text_embeddings.py writes it',
}
_T = TypeVar('_T')


def check_suffix(path: str | Path) -> str:
    """The suffix of a file of class embeddings."""
    suffix = Path(path).suffix
    if suffix not in _EXPECTED:
        raise ValueError(
            f'{path}: expected class embeddings as {", ".join(_EXPECTED)}, found {suffix!r}'
        )
    return suffix


def save_class_embeddings(
    path: str | Path,
    classes: Sequence[str],
    embeddings: Tensor,
    metadata: EmbeddingMetadata | None = None,
) -> None:
    """Write class embeddings in the format of the suffix, atomically.

    Args:
        path: Output file; its folder is created. A `.npy` keeps the order and no names.
        classes: K names.
        embeddings: Shape (K, D).
        metadata: How they were made; only `.safetensors` holds it.

    Raises:
        ValueError: The suffix is unknown, the counts differ, or a name is listed twice.
    """
    suffix = check_suffix(path)
    if embeddings.ndim != 2 or len(classes) != len(embeddings):
        raise ValueError(
            f'{path}: {len(classes)} classes, but embeddings of shape {tuple(embeddings.shape)}'
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
        header |= (metadata or EmbeddingMetadata()).to_json()
        buffer.write(safetensors.torch.save({'embeddings': table}, header))
    with atomic_write(path, durable=True) as part:
        part.write_bytes(buffer.getvalue())


def read_named_embeddings(path: str | Path) -> dict[str, Tensor]:
    """Read all embeddings of a file with class names.

    Args:
        path: A `.pt` or `.safetensors` file; a `.npy` table has no names and gives {}.

    Returns:
        Name to unit vector, shape (D).

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The suffix is unknown or the file is not valid.
    """
    names, table = _read(_existing(path))
    return {} if names is None else dict(zip(names, F.normalize(table, dim=-1), strict=True))


def load_class_embeddings(path: str | Path, classes: Sequence[str]) -> Tensor:
    """Read the embeddings of classes, in the order of the vocabulary.

    Args:
        path: A `.pt` or `.safetensors` file, which may hold more classes; or a `.npy` table whose
            rows are the classes in this order. The table may end with a row for the background.
        classes: K names.

    Returns:
        Unit vectors, shape (K, D).

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: As in `read_named_embeddings`; or a class is missing, or a table does not have
            one row per class.
    """
    path = _existing(path)
    names, table = _read(path)
    if names is None:
        return F.normalize(_rows_of(table, classes, path), dim=-1)
    row_of = {name_key(name): row for row, name in enumerate(names)}
    missing = [name for name in classes if name_key(name) not in row_of]
    if missing:
        listed = ', '.join(missing[:_MAX_LISTED]) + ', ...' * (len(missing) > _MAX_LISTED)
        raise ValueError(
            f'{path}: has {len(names)} classes, the vocabulary has {len(classes)}; '
            f'missing {listed}{near_misses(missing, names)}'
        )
    return F.normalize(table[[row_of[name_key(name)] for name in classes]], dim=-1)


def read_metadata(path: str | Path) -> EmbeddingMetadata:
    """Metadata of a file of embeddings; empty for `.pt` and `.npy`."""
    path = _existing(path)
    if check_suffix(path) != '.safetensors':
        return EmbeddingMetadata()
    return _guarded(path, lambda path: EmbeddingMetadata.from_json(_open_safetensors(path)[0]))


def _existing(path: str | Path) -> Path:
    path = Path(path)
    require_file(path, 'class embeddings, as tools/make_text_embeddings.py writes them')
    return path


def _rows_of(table: Tensor, classes: Sequence[str], path: Path) -> Tensor:
    """The rows of a table without names, checked; an unused background row is dropped."""
    count = len(classes)
    if len(table) == count + 1 and BACKGROUND not in classes:
        return table[:-1]
    if len(table) != count:
        last = 'background last' if BACKGROUND in classes else 'optionally the background last'
        raise ValueError(
            f'{path}: found a table of shape {tuple(table.shape)} for {count} classes; expected '
            f'one row per class in their order, {last}'
        )
    return table


def _read(path: Path) -> tuple[list[str] | None, Tensor]:
    """Names, or None for a table without names, and vectors, shape (K, D), not normalised."""
    readers: dict[str, Callable[[Path], tuple[list[str] | None, Tensor]]] = {
        '.pt': _read_dictionary,
        '.npy': _read_table,
        '.safetensors': _read_safetensors,
    }
    return _guarded(path, readers[check_suffix(path)])


def _guarded(path: Path, reader: Callable[[Path], _T]) -> _T:
    """Run `reader` and turn any error into one ValueError with the file and what was expected."""
    try:
        return reader(path)
    except Exception as error:  # broken files raise many kinds of errors
        why = (str(error).splitlines() or [repr(error)])[0]
        raise ValueError(
            f'{path}: not a valid file of class embeddings: expected '
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
        raise ValueError(f'found vectors of lengths {lengths[:5]}')
    return list(content), _checked(torch.stack(rows))


def _read_table(path: Path) -> tuple[None, Tensor]:
    table = np.load(path, mmap_mode='r', allow_pickle=False)
    if path.stat().st_size != table.offset + table.nbytes:
        raise ValueError(f'found the shape {table.shape}, which is not the size of the file')
    return None, _checked(torch.from_numpy(np.array(table)).float())


def _read_safetensors(path: Path) -> tuple[list[str], Tensor]:
    header, table = _open_safetensors(path)
    names = json.loads(header['classes'])
    if not isinstance(names, list) or len(set(names)) != len(table):
        raise ValueError(f'found {len(table)} rows, and classes {names!r:.80}')
    return names, _checked(table.float())


def _open_safetensors(path: Path) -> tuple[dict[str, str], Tensor]:
    """Header and table of a file written by `save_class_embeddings`."""
    with safetensors.safe_open(path, framework='pt') as file:
        header = file.metadata() or {}
        if header.get('format') != _FORMAT:
            raise ValueError(f'found tensors {sorted(file.keys())[:5]} and another format')
        if header.get('format_version') != _VERSION:
            raise ValueError(
                f'found format version {header.get("format_version")}, expected {_VERSION}'
            )
        return header, file.get_tensor('embeddings')


def _checked(table: Tensor) -> Tensor:
    if table.ndim != 2 or not table.numel():
        raise ValueError(f'found the shape {tuple(table.shape)}')
    bad = (~table.isfinite()).any(1).nonzero()
    if len(bad):
        raise ValueError(f'found values that are not finite, the first in row {int(bad[0])}')
    return table
