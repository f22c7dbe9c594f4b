"""Text and json of users' files; every error names the file and says what to do."""

from __future__ import annotations

import codecs
import json
import re
from pathlib import Path
from typing import Any

_HALF = re.compile(r'\\u[dD][89a-fA-F]')
"""Json may escape each half of a character, and so one without the other."""
_MARKS = {
    codecs.BOM_UTF8: 'utf-8-sig',
    codecs.BOM_UTF32_LE: 'utf-32',
    codecs.BOM_UTF32_BE: 'utf-32',
    codecs.BOM_UTF16_LE: 'utf-16',
    codecs.BOM_UTF16_BE: 'utf-16',
}
"""Byte order marks; those of UTF-32 begin like those of UTF-16."""


def require_file(path: str | Path, expected: str) -> None:
    """Check that a local file exists.

    Args:
        path: The file.
        expected: Description of the expected file, for the error.

    Raises:
        FileNotFoundError, IsADirectoryError: There is no such file.
    """
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(f'{path}: expected {expected}, it is a folder')
    if not path.is_file():
        raise FileNotFoundError(f'{path}: no such file; expected {expected}')


def decode_text(content: bytes, path: str | Path) -> str:
    """Decode UTF-8, or UTF-16 and UTF-32 with a byte order mark.

    Args:
        content: Content of the file.
        path: The file, for the error.

    Raises:
        ValueError: It is in another encoding, or has bytes that are zero.
    """
    encoding = next((name for mark, name in _MARKS.items() if content.startswith(mark)), 'utf-8')
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        raise ValueError(
            f'{path}: expected text in UTF-8, byte {error.start} is not ({error.reason}); save the '
            'file as UTF-8'
        ) from error
    if '\0' in text:
        raise ValueError(
            f'{path}: expected text in UTF-8, character {text.index(chr(0))} is zero: it is binary '
            'or UTF-16; save the file as UTF-8'
        )
    return text


def parse_json(content: bytes, path: str | Path) -> Any:  # noqa: ANN401
    """Parse json in an encoding of `decode_text`.

    Args:
        content: Content of the file.
        path: The file, for the error.

    Raises:
        ValueError: It is not valid json, nested too deeply, or a text has half of a character.
    """
    text = decode_text(content, path)
    try:
        parsed = json.loads(text)
        if _HALF.search(text):
            json.dumps(parsed, ensure_ascii=False).encode()
        return parsed
    except RecursionError as error:
        raise ValueError(f'{path} is not valid JSON: its lists are nested too deeply') from error
    except ValueError as error:
        raise ValueError(f'{path} is not valid JSON ({error})') from error


def read_text(path: str | Path, expected: str) -> str:
    """Read a local text file; arguments and errors as in `require_file` and `decode_text`."""
    require_file(path, expected)
    return decode_text(Path(path).read_bytes(), path)


def read_local_json(path: str | Path, expected: str) -> Any:  # noqa: ANN401
    """Read a local json file; arguments and errors as in `require_file` and `parse_json`."""
    require_file(path, expected)
    return parse_json(Path(path).read_bytes(), path)
