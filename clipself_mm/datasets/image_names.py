"""Images by their file names, which files of proposals write with or without folders."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from .coco_json import image_file_name


class ImageNames:
    """Finds images by file name, whichever folders stand before it.

    `train2017/1.jpg` and `1.jpg` are the same image where only one can be meant; folders that
    both names have must agree.

    Args:
        images: Entries of `images`.
        path: Their annotation file, for errors.
    """

    def __init__(self, images: Sequence[dict], path: str) -> None:
        self.path = path
        self._ids: dict[str, list[tuple[tuple[str, ...], int | str]]] = defaultdict(list)
        for image in images:
            parts = _parts(image_file_name(image, path))
            self._ids[parts[-1]].append((parts, image['id']))

    def find(self, name: str) -> int | str | None:
        """Id of the image of a file name, None if there is none.

        Args:
            name: File name, with any number of folders.

        Raises:
            ValueError: If several images can be meant; names the file.
        """
        parts = _parts(name)
        alike = self._ids.get(parts[-1], [])
        found = [key for other, key in alike if other == parts]
        if not found:
            found = [key for other, key in alike if _agree(parts, other)]
        if len(found) > 1:
            raise ValueError(f'{self.path}: {name} can be any of the images {found[:5]}')
        return found[0] if found else None


def _parts(name: str) -> tuple[str, ...]:
    """Folders and file of a path, at least the file."""
    parts = tuple(part for part in name.replace('\\', '/').split('/') if part not in ('', '.'))
    return parts or (name,)


def _agree(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Whether the paths are equal as far as both go, from the file on."""
    shared = min(len(one), len(other))
    return one[-shared:] == other[-shared:]
