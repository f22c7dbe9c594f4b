"""What this machine can do at best: rates of a large matrix product and of a large copy.

python benchmarks/machine.py --threads 1
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import torch


def seconds_of(run: Callable[[], object], repeats: int = 3) -> float:
    """Shortest time of a function after one run to warm up.

    With one thread it is processor time, which other programs on the machine disturb little; with
    more it is wall time.

    Args:
        run: What to measure.
        repeats: How often.

    Returns:
        Seconds.
    """
    run()
    times = []
    for _ in range(repeats):
        start = clock()
        run()
        times.append(clock() - start)
    return min(times)


def clock() -> float:
    """Seconds of processor time with one thread, of wall time with more."""
    return time.process_time() if torch.get_num_threads() == 1 else time.perf_counter()


def matrix_rate(dtype: torch.dtype = torch.float32, size: int = 2048, repeats: int = 3) -> float:
    """Floating point operations a second of one square matrix product.

    Args:
        dtype: Of both factors.
        size: Rows and columns.
        repeats: How often it is run; the fastest counts.

    Returns:
        FLOP/s, a multiplication and an addition being two.
    """
    left, right = torch.randn(2, size, size).to(dtype)
    return 2 * size**3 / seconds_of(lambda: left @ right, repeats)


def copy_rate(megabytes: int = 256, repeats: int = 3) -> float:
    """Bytes a second of a copy too large for any cache.

    Args:
        megabytes: Size of what is copied, in MB.
        repeats: How often it is run; the fastest counts.

    Returns:
        Bytes/s, read and written ones together.
    """
    source = torch.ones(megabytes * 250_000)
    target = torch.empty_like(source)
    return 2 * source.numel() * 4 / seconds_of(lambda: target.copy_(source), repeats)


def ceilings() -> dict[str, float]:
    """The three rates: ``fp32`` and ``bf16`` in FLOP/s, ``copy`` in bytes/s.

    The bf16 product is smaller: without hardware for it, it is up to a hundred times slower.
    """
    return {
        'fp32': matrix_rate(),
        'bf16': matrix_rate(torch.bfloat16, size=512),
        'copy': copy_rate(),
    }


def available_bytes() -> int:
    """Memory that a new process can have without swapping, in bytes (Linux).

    Raises:
        OSError: There is no /proc/meminfo.
    """
    lines = Path('/proc/meminfo').read_text().splitlines()
    return next(int(x.split()[1]) * 1024 for x in lines if x.startswith('MemAvailable'))


def peak_bytes() -> int:
    """Most memory that this process has held so far, in bytes (Linux).

    Unlike ``resource.getrusage``, whose peak a new process has from the one that started it.

    Raises:
        OSError: There is no /proc/self/status.
    """
    lines = Path('/proc/self/status').read_text().splitlines()
    return next(int(x.split()[1]) * 1024 for x in lines if x.startswith('VmHWM'))


def main() -> None:
    """Measures and prints the rates as json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--threads', type=int, default=1)
    torch.set_num_threads(parser.parse_args().threads)
    print(json.dumps({name: round(rate / 1e9, 2) for name, rate in ceilings().items()}), '(1e9/s)')


if __name__ == '__main__':
    main()
