"""Lets mmengine write files that are, at any moment, the old one or the new one, whole."""

from __future__ import annotations

from pathlib import Path

from mmengine.fileio import LocalBackend, register_backend

from clipself_mm.io.atomic_write import atomic_write

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
        with atomic_write(filepath, durable=True) as part:
            part.write_bytes(obj)

    def put_text(self, obj: str, filepath: str | Path, encoding: str = 'utf-8') -> None:
        """Write a text file like `put`.

        Args:
            obj: Content.
            filepath: Where the file is to appear.
            encoding: Encoding of the file.
        """
        self.put(obj.encode(encoding), filepath)
