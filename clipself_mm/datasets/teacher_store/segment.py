"""The two files of a segment, byte by byte."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np

from .store_facts import StoreFacts

KEYS_ENDING = '.keys'
ROWS_ENDING = '.rows'
HEADER_BYTES = 24
KEY_RECORD = np.dtype([('key', '<u8', 2), ('check', '<u4')])
_MAGIC = b'CLIPTGT1'


def header(facts: StoreFacts) -> bytes:
    """Return what a file of keys begins with."""
    return _MAGIC + facts.identity


def checksum(key: np.ndarray, row: np.ndarray) -> int:
    """Return the CRC-32 over a key (uint64 of shape (2)) and its embedding as stored."""
    return zlib.crc32(row, zlib.crc32(np.ascontiguousarray(key, '<u8')))


def whole_records(keys: Path, facts: StoreFacts) -> int:
    """Count the records of a segment of which both key and row are whole.

    Args:
        keys: The file of keys; that of the rows is beside it.
        facts: Facts of the store.

    Returns:
        The number of records; 0 where a killed process left less than a header.

    Raises:
        ValueError: The segment belongs to another store; names the file.
    """
    try:
        size, rows = keys.stat().st_size, keys.with_suffix(ROWS_ENDING).stat().st_size
    except FileNotFoundError:
        return 0
    if size < HEADER_BYTES:
        return 0
    with keys.open('rb') as file:
        found = file.read(HEADER_BYTES)
    if found != header(facts):
        raise ValueError(
            f'{keys} is not a segment of the teacher store it lies in (two runs with different '
            'teachers or crops may have started it at once): delete the folder'
        )
    return min((size - HEADER_BYTES) // KEY_RECORD.itemsize, rows // facts.row_bytes)


def read_keys(keys: Path, start: int, stop: int) -> np.ndarray:
    """Read the key records of a range.

    Args:
        keys: The file of keys.
        start: First record.
        stop: Record after the last.

    Returns:
        Array of `KEY_RECORD`, shape (stop - start).
    """
    with keys.open('rb') as file:
        file.seek(HEADER_BYTES + start * KEY_RECORD.itemsize)
        content = file.read((stop - start) * KEY_RECORD.itemsize)
    return np.frombuffer(content, KEY_RECORD)


def map_rows(keys: Path, count: int, facts: StoreFacts) -> np.ndarray:
    """Map the first embeddings of a segment into memory, read-only.

    Args:
        keys: The file of keys; that of the rows is beside it.
        count: How many rows, at least 1.
        facts: Facts of the store.

    Returns:
        Array of the store's number format, shape (count, D).
    """
    dtype = np.dtype(facts.dtype).newbyteorder('<')
    rows = keys.with_suffix(ROWS_ENDING)
    return np.memmap(rows, dtype, mode='r', shape=(count, facts.dim))
