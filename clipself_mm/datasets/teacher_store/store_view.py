"""The reading side of a teacher store."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .segment import KEYS_ENDING, checksum, map_rows, read_keys, whole_records
from .store_facts import StoreFacts, other_store


class StoreView:
    """What a teacher store held when it was last looked at.

    The index takes 28 bytes of memory an embedding; the embeddings stay on disk, mapped into
    memory. Any number of processes may read while others write.

    Args:
        folder: Folder of the store; where none has been started, nothing is found.
        crops: The recipe of the crops asked for, see `crop_recipe`; None takes any.

    Attributes:
        facts: Facts of the store, None while there is none.
    """

    def __init__(self, folder: str | Path, crops: str | None = None) -> None:
        self.folder = Path(folder)
        self.crops = crops
        self.facts: StoreFacts | None = None
        self._segments: dict[Path, int] = {}
        self._counts: list[int] = []
        self._rows: list[np.ndarray | None] = []
        # One entry a record, in ascending order of the first halves of the keys.
        self._first = np.zeros(0, np.uint64)
        self._second = np.zeros(0, np.uint64)
        self._checks = np.zeros(0, np.uint32)
        self._places = np.zeros(0, np.uint64)

    def __reduce__(self) -> tuple:
        """Pickle without the index: another process looks for itself."""
        return StoreView, (self.folder, self.crops)

    def __len__(self) -> int:
        """Return the number of records in view."""
        return len(self._first)

    def refresh(self) -> None:
        """Take in what has been added since the last look.

        Raises:
            ValueError: The folder holds something else than a store of these crops.
        """
        self.facts = self.facts or StoreFacts.read(self.folder)
        if self.facts is None:
            return
        if self.crops not in (None, self.facts.crops):
            raise other_store(self.folder, 'crops', self.facts.crops, self.crops)
        records, places = [], []
        for path in sorted(self.folder.glob(f'*{KEYS_ENDING}')):
            number, known = self._segment(path)
            count = whole_records(path, self.facts)
            if count <= known:
                continue
            records.append(read_keys(path, known, count))
            places.append(np.arange(known, count, dtype=np.uint64) | np.uint64(number << 40))
            self._counts[number] = count
            self._rows[number] = map_rows(path, count, self.facts)
        if records:
            self._merge(np.concatenate(records), np.concatenate(places))

    def lookup(self, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Find the embeddings of crops.

        An embedding that its checksum contradicts counts as not found.

        Args:
            keys: Keys of crops, uint64 of shape (R, 2).

        Returns:
            The embeddings found, float32 of shape (F, D) in the order of the keys (D is 0 while
            there is no store), and which were found, bool of shape (R).
        """
        found = np.zeros(len(keys), bool)
        embeddings = np.empty((len(keys), 0 if self.facts is None else self.facts.dim), np.float32)
        start = np.searchsorted(self._first, keys[:, 0], side='left')
        stop = np.searchsorted(self._first, keys[:, 0], side='right')
        for number, key in enumerate(keys):
            for place in range(start[number], stop[number]):
                row = self._row(place, key)
                if row is not None:
                    embeddings[number], found[number] = row, True
                    break
        return embeddings[found], found

    def _row(self, entry: int, key: np.ndarray) -> np.ndarray | None:
        """Return the embedding of an entry, if the entry is that key's and whole."""
        if self._second[entry] != key[1]:
            return None
        place = int(self._places[entry])
        row = self._rows[place >> 40][place & (1 << 40) - 1]
        return row if checksum(key, row) == self._checks[entry] else None

    def _segment(self, path: Path) -> tuple[int, int]:
        """Return the number of a segment and how many of its records are in view."""
        number = self._segments.setdefault(path, len(self._segments))
        if number == len(self._counts):
            self._counts.append(0)
            self._rows.append(None)
        return number, self._counts[number]

    def _merge(self, records: np.ndarray, places: np.ndarray) -> None:
        """Put new records (`KEY_RECORD`, with the places of their rows) into the index."""
        first = np.concatenate([self._first, records['key'][:, 0]])
        order = np.argsort(first, kind='stable')
        self._first = first[order]
        self._second = np.concatenate([self._second, records['key'][:, 1]])[order]
        self._checks = np.concatenate([self._checks, records['check']])[order]
        self._places = np.concatenate([self._places, places])[order]
