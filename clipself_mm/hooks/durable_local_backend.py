"""Files on a local disk that are, at any moment, either the old one or the new one, whole."""

from __future__ import annotations

import os
from pathlib import Path

from mmengine.fileio import LocalBackend, register_backend

#: Ending of a file that is being written; what bears it belongs to a run that is, or was killed.
PARTIAL = '.clipself-partial'

#: Name of the backend in `backend_args`.
BACKEND_NAME = 'clipself_durable'


@register_backend(BACKEND_NAME)
class DurableLocalBackend(LocalBackend):
    """mmengine's local backend, writing by way of a partial file in the same folder.

    The bytes are forced to disk under another name, which then takes the place of the old file in
    one step. A process killed at any moment leaves the old file or the new one, never a piece.
    """

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write a file, making its folder when there is none.

        Args:
            obj: Content.
            filepath: Where the file is to appear.

        Raises:
            OSError: The disk is full or the folder not writable; the old file is still there.
        """
        target = Path(filepath)
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(target.name + PARTIAL)
        try:
            self._write(obj, partial)
            os.replace(partial, target)
        except OSError:
            partial.unlink(missing_ok=True)
            raise
        _sync_folder(target.parent)

    def put_text(self, obj: str, filepath: str | Path, encoding: str = 'utf-8') -> None:
        """Write a text file like `put`.

        Args:
            obj: Content.
            filepath: Where the file is to appear.
            encoding: Encoding of the file.
        """
        self.put(obj.encode(encoding), filepath)

    def _write(self, obj: bytes, partial: Path) -> None:
        with partial.open('wb') as file:
            file.write(obj)
            file.flush()
            os.fsync(file.fileno())


def remove_partial_files(folder: str | Path) -> list[Path]:
    """Delete what a killed run left half written.

    Args:
        folder: Folder to clean, not its sub-folders; it need not exist.

    Returns:
        The files deleted.
    """
    leftovers = sorted(Path(folder).glob(f'*{PARTIAL}'))
    for path in leftovers:
        path.unlink(missing_ok=True)
    return leftovers


def _sync_folder(folder: Path) -> None:
    """Force a folder's list of names to disk, where the system can."""
    if not hasattr(os, 'O_DIRECTORY'):
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
