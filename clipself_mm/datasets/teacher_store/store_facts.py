"""Whose embeddings a store holds: what has to agree before one of them is used."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from clipself_mm.whole_file import whole_file

FORMAT = 1
FACTS_NAME = 'store.json'
DTYPES = ('float32', 'float16')
_WORDS = dict(
    format='format',
    tower='teacher (digest of its weights)',
    precision='precision of the teacher',
    crops='kind of crops',
    dim='width',
    dtype='number format',
)


@dataclass(frozen=True)
class StoreFacts:
    """What an embedding in a store depends on, besides photo and box.

    Attributes:
        tower: Digest of the teacher.
        precision: Number format the teacher computes in, as `float32`.
        crops: How a box becomes a crop, see `crop_recipe`.
        dim: Channels D of an embedding.
        dtype: Number format of the stored embeddings, `float32` or `float16`.
        format: Version of the files.
    """

    tower: str
    precision: str
    crops: str
    dim: int
    dtype: str = 'float32'
    format: int = FORMAT

    def __post_init__(self) -> None:
        """Refuse what no store can hold."""
        if self.dtype not in DTYPES:
            raise ValueError(f'dtype of a teacher store is one of {DTYPES}, not {self.dtype!r}')
        if self.dim < 1:
            raise ValueError(f'embeddings have at least 1 channel, not {self.dim}')

    @property
    def identity(self) -> bytes:
        """16 bytes that stand for all facts, in the header of each segment."""
        content = json.dumps(asdict(self), sort_keys=True).encode()
        return hashlib.sha256(content).digest()[:16]

    @property
    def row_bytes(self) -> int:
        """Bytes of one embedding."""
        return self.dim * np.dtype(self.dtype).itemsize

    @classmethod
    def read(cls, folder: str | Path) -> StoreFacts | None:
        """Read the facts of a folder.

        Args:
            folder: Folder of a store.

        Returns:
            The facts, or None where no store has been started.

        Raises:
            ValueError: `store.json` is not what this version writes; names the file.
        """
        path = Path(folder, FACTS_NAME)
        try:
            content = json.loads(path.read_text())
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise ValueError(f'{path} is no json: {error}') from error
        if not isinstance(content, dict) or content.get('format') != FORMAT:
            raise ValueError(f'{path}: expected a teacher store of format {FORMAT}')
        try:
            return cls(**content)
        except TypeError as error:
            raise ValueError(f'{path}: expected the facts {sorted(_WORDS)}: {error}') from error

    def claim(self, folder: str | Path) -> None:
        """Start a store with these facts, or make sure that the one there has them.

        Args:
            folder: Folder of the store; made where there is none.

        Raises:
            ValueError: It is the store of another teacher, of other crops or of another format.
        """
        there = self.read(folder)
        if there is None:
            with whole_file(Path(folder, FACTS_NAME)) as path:
                path.write_text(json.dumps(asdict(self), indent=1) + '\n')
            there = self.read(folder)
        self.check(folder, **asdict(there))

    def check(self, folder: str | Path, **found: object) -> None:
        """Compare some facts of a store with these.

        Args:
            folder: Folder of the store, for the error.
            **found: Facts of the store by name.

        Raises:
            ValueError: One differs.
        """
        for name, value in found.items():
            if value != getattr(self, name):
                raise other_store(folder, name, value, getattr(self, name))


def other_store(folder: str | Path, name: str, found: object, wanted: object) -> ValueError:
    """Return the error for a store that does not fit.

    Args:
        folder: Its folder.
        name: The fact that differs.
        found: What the store has.
        wanted: What is needed.
    """
    return ValueError(
        f'the teacher store {folder} has another {_WORDS[name]}, {found}, expected {wanted}: '
        'give another folder, or delete this one'
    )
