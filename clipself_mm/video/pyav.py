"""PyAV, which is optional."""

from __future__ import annotations

from types import ModuleType


def import_av() -> ModuleType:
    """The module `av`.

    Raises:
        ImportError: It is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise ImportError("video needs PyAV: pip install 'clipself_mm[video]'") from error
    return av
