"""Class embeddings on disk: the ``.pt`` dictionary (name to vector) that existing configs read."""

import pickle
from collections.abc import Sequence
from pathlib import Path

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


def load_class_embeddings(path: str | Path, classes: Sequence[str]) -> Tensor:
    """Read the embeddings of classes, in the order of the vocabulary.

    Args:
        path: A ``.pt`` dictionary of name to vector; it may hold more classes.
        classes: K names.

    Returns:
        Unit vectors, shape (K, D).

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is not such a dictionary or lacks a class.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f'{path}: no such file; tools/make_text_embeddings.py writes class embeddings'
        )
    try:
        content = torch.load(path, map_location='cpu', weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError) as error:
        raise ValueError(f'{path}: not a file of class embeddings: {error}') from error
    if not isinstance(content, dict):
        raise ValueError(f'{path}: expected a dictionary of class name to vector')
    lacking = [name for name in classes if name not in content]
    if lacking:
        raise ValueError(
            f'{path}: lists {len(content)} classes, the vocabulary has {len(classes)}; '
            f'lacking {", ".join(lacking[:5])}'
        )
    rows = [torch.as_tensor(content[name]).float().flatten() for name in classes]
    if len({row.shape for row in rows}) > 1:
        raise ValueError(f'{path}: its vectors have different lengths')
    return F.normalize(torch.stack(rows), dim=-1)
