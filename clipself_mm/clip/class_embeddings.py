"""Class embeddings on disk: the ``.pt`` dictionary or ``.npy`` table that existing configs read."""

import pickle
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


def save_class_embeddings(path: str | Path, classes: Sequence[str], embeddings: Tensor) -> None:
    """Write unit embeddings of classes as a ``.pt`` dictionary.

    Args:
        path: File to write; its folder is made.
        classes: K names.
        embeddings: Shape (K, D).

    Raises:
        ValueError: The counts differ.
    """
    if len(classes) != len(embeddings):
        raise ValueError(f'{path}: {len(classes)} classes, {len(embeddings)} embeddings')
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    torch.save(
        {name: row.cpu().clone() for name, row in zip(classes, embeddings, strict=True)}, path
    )


def read_named_embeddings(path: str | Path) -> dict[str, Tensor]:
    """Read all embeddings of a file that names its classes.

    Args:
        path: A ``.pt`` dictionary of name to vector; a ``.npy`` table names nothing and gives {}.

    Returns:
        Name to unit vector, shape (D).

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is not such a dictionary, or its vectors differ in length.
    """
    path = _existing(path)
    if path.suffix == '.npy':
        return {}
    try:
        content = torch.load(path, map_location='cpu', weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError) as error:
        raise ValueError(f'{path}: not a file of class embeddings: {error}') from error
    if not isinstance(content, dict):
        raise ValueError(f'{path}: expected a dictionary of class name to vector')
    rows = {name: torch.as_tensor(row).float().flatten() for name, row in content.items()}
    if len({row.shape for row in rows.values()}) > 1:
        raise ValueError(f'{path}: its vectors have different lengths')
    return {name: F.normalize(row, dim=-1) for name, row in rows.items()}


def load_class_embeddings(path: str | Path, classes: Sequence[str]) -> Tensor:
    """Read the embeddings of classes, in the order of the vocabulary.

    Args:
        path: A ``.pt`` dictionary of name to vector, which may hold more classes; or a ``.npy``
            table whose rows are the classes in this order.
        classes: K names.

    Returns:
        Unit vectors, shape (K, D).

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is neither, lacks a class, or has not one row a class.
    """
    path = _existing(path)
    if path.suffix == '.npy':
        return _read_table(path, len(classes))
    named = read_named_embeddings(path)
    lacking = [name for name in classes if name not in named]
    if lacking:
        raise ValueError(
            f'{path}: lists {len(named)} classes, the vocabulary has {len(classes)}; '
            f'lacking {", ".join(lacking[:5])}'
        )
    return torch.stack([named[name] for name in classes])


def _existing(path: str | Path) -> Path:
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f'{path}: no such file; tools/make_text_embeddings.py writes class embeddings'
        )
    return path


def _read_table(path: Path, rows: int) -> Tensor:
    try:
        table = torch.from_numpy(np.load(path, allow_pickle=False)).float()
    except (ValueError, EOFError, OSError, TypeError) as error:
        raise ValueError(f'{path}: not a table of class embeddings: {error}') from error
    if table.ndim != 2 or len(table) != rows:
        raise ValueError(f'{path}: a table of shape {tuple(table.shape)} for {rows} classes')
    return F.normalize(table, dim=-1)
