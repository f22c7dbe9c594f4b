"""The lines of mm's log."""

import contextlib
import logging

from mmengine.logging import MMLogger


@contextlib.contextmanager
def logged(level=logging.INFO):
    """A list that gets the messages logged inside of the block."""
    lines = []
    handler = logging.Handler(level)
    handler.emit = lambda record: lines.append(record.getMessage())
    logger = MMLogger.get_current_instance()
    before = logger.level
    logger.setLevel(level)
    logger.addHandler(handler)
    try:
        yield lines
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
