"""PyAV, which is optional."""

from __future__ import annotations

from types import ModuleType


def import_av() -> ModuleType:
    """The module `av`, with FFmpeg's messages off.

    PyAV's own callback takes the interpreter's lock in FFmpeg's threads, even for messages that
    it drops. A file that is closed while such a thread has a message then waits for ever.

    Raises:
        ImportError: It is not installed.
    """
    try:
        import av.logging
    except ImportError as error:
        raise ImportError("video needs PyAV: pip install 'clipself_mm[video]'") from error
    av.logging.restore_default_callback()
    av.logging.set_libav_level(av.logging.PANIC)
    return av
