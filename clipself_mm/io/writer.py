"""Who writes a file: host, process and its start, as part of a file name."""

from __future__ import annotations

import os
import re
import socket
import time
from pathlib import Path

_DAY = 24 * 60 * 60


def writer_name() -> str:
    """Name of this process: `PID-START@HOST`; the start tells a reused process id apart."""
    pid = os.getpid()
    return f'{pid}-{_start_of(pid)}@{socket.gethostname()}'


def is_abandoned(path: Path) -> bool:
    """Whether the writer of a temporary file has ended.

    A process of another host cannot be seen; its file counts as abandoned after a day without a
    write.

    Args:
        path: An existing file; its stem ends with a `writer_name`, else it is abandoned.
    """
    match = re.search(r'(\d+)-(\d+)@(.+)$', path.stem)
    if match is None:
        return True
    pid, start, host = match.groups()
    if host != socket.gethostname():
        return time.time() - path.stat().st_mtime > _DAY
    return _start_of(int(pid)) != int(start)


def _start_of(pid: int) -> int | None:
    """Start of a process, in clock ticks since boot; 0 without /proc, None for a dead process."""
    try:
        # The name in brackets may hold spaces.
        state, *fields = Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()
    except OSError:
        return _start_without_proc(pid)
    return None if state in 'ZX' else int(fields[18])


def _start_without_proc(pid: int) -> int | None:
    if Path('/proc/self').exists():
        return None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    return 0
