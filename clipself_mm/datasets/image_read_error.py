"""The one error for a picture that cannot be used, so that a data set can skip and count it."""

from __future__ import annotations


class ImageReadError(RuntimeError):
    """A file of a sample is missing, broken, or disagrees with its annotation.

    Args:
        path: The file.
        why: What was expected and what came.

    Attributes:
        path: As the argument.
        why: As the argument.
    """

    def __init__(self, path: str, why: str) -> None:
        super().__init__(path, why)
        self.path = path
        self.why = why

    def __str__(self) -> str:
        """Return the file and the reason in one line."""
        return f'{self.path}: {self.why}'
