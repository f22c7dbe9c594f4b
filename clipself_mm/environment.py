"""Check that compatible mm packages are installed.

`clipself_mm` calls :func:`require_mm_packages` before it imports any of them, because incompatible
packages fail late: mmcv without compiled ops when a model is built, mmcv without CUDA at a
detector's first RoIAlign, mmdet 3.3 on mmcv 2.2 with a bare assertion. Until the packages are found
only the standard library is imported. Also a script: ``python clipself_mm/environment.py``.
"""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass
from importlib.machinery import PathFinder
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

# Module -> the distributions that provide it, the maintained one first.
DISTRIBUTIONS = {
    'mmengine': ('onedl-mmengine', 'mmengine', 'mmengine-lite'),
    'mmcv': ('onedl-mmcv', 'mmcv', 'mmcv-lite'),
    'mmdet': ('onedl-mmdetection', 'mmdet'),
}


@dataclass(frozen=True)
class Stack:
    """Versions of the mm family that work together.

    Attributes:
        name: Value of ``STACK`` for `make env`.
        ranges: Module -> (lowest supported version, first unsupported version).
        packages: Requirements for pip, mmcv first.
    """

    name: str
    ranges: dict[str, tuple[str, str]]
    packages: tuple[str, ...]

    def version_mismatch(self, found: dict[str, str]) -> dict[str, str]:
        """Modules of `found` (module -> version) out of range -> their range."""
        return {
            module: f'>={low},<{high}'
            for module, (low, high) in self.ranges.items()
            if not _key(low) <= _key(found[module]) < _key(high)
        }

    @property
    def command(self) -> str:
        """Commands that install the stack; torch must be installed."""
        mmcv, *others = self.packages
        return (
            f"MMCV_WITH_OPS=1 pip install --no-build-isolation '{mmcv}'\n"
            f'    pip install {" ".join(repr(name) for name in others)}'
        )


STACKS = (
    Stack(
        'onedl',
        {'mmengine': ('0.10.8', '1'), 'mmcv': ('2.3', '3'), 'mmdet': ('3.5', '4')},
        ('onedl-mmcv==2.3.6', 'onedl-mmengine==0.10.12', 'onedl-mmdetection==3.5.1'),
    ),
    Stack(
        'openmmlab',
        {'mmengine': ('0.10.7', '1'), 'mmcv': ('2.1', '2.2'), 'mmdet': ('3.3', '3.4')},
        ('mmcv==2.1.0', 'mmengine==0.10.7', 'mmdet==3.3.0'),
    ),
)


def _key(text: str) -> tuple[int, ...]:
    """The release numbers of a version: '2.3.0.post1+cpu' -> (2, 3, 0)."""
    numbers = []
    for part in text.split('+')[0].split('.'):
        digits = part[: len(part) - len(part.lstrip('0123456789'))]
        if not digits:
            break
        numbers.append(int(digits))
        if digits != part:
            break
    return tuple(numbers)


def installed_versions() -> dict[str, dict[str, str]]:
    """Module -> {distribution: version} of the installed packages, without importing them."""
    found: dict[str, dict[str, str]] = {module: {} for module in DISTRIBUTIONS}
    for module, names in DISTRIBUTIONS.items():
        for name in names:
            try:
                found[module][name] = version(name)
            except PackageNotFoundError:
                continue
        if (
            not found[module] and find_spec(module) is not None
        ):  # a checkout on the path, without metadata
            found[module][module] = importlib.import_module(module).__version__
    return found


def has_compiled_ops() -> bool:
    """Whether mmcv's extension module `mmcv._ext` is installed, without importing mmcv."""
    spec = find_spec('mmcv')
    if spec is None or spec.origin is None:
        return False
    return PathFinder.find_spec('_ext', [str(Path(spec.origin).parent)]) is not None


def cuda_without_ops() -> str | None:
    """Torch's CUDA version if torch finds a GPU but mmcv's ops have no CUDA; else None.

    mmcv compiles for CUDA if torch finds a GPU or `FORCE_CUDA=1` is set. Otherwise (on a login
    node) it compiles for CPU only, without a warning.
    """
    import torch

    if not torch.cuda.is_available():
        return None
    from mmcv.ops import get_compiling_cuda_version

    if get_compiling_cuda_version() != 'not available':
        return None
    return torch.version.cuda or torch.version.hip


def describe_lacking_cuda(found: dict[str, dict[str, str]], cuda: str) -> str:
    """Error message for mmcv without CUDA, with commands that solve the problem.

    Args:
        found: Result of :func:`installed_versions`, a compatible stack.
        cuda: Result of :func:`cuda_without_ops`.
    """
    name, number = next(iter(found['mmcv'].items()))
    return (
        f'{name} {number} was compiled without CUDA, and torch (CUDA {cuda}) finds a GPU: the '
        'first RoIAlign of a detector would fail there. Compile it again with the nvcc of that '
        'CUDA:\n'
        f'    export CUDA_HOME=/usr/local/cuda    # its bin/nvcc --version: release {cuda}\n'
        f'    pip uninstall -y {name}\n'
        '    FORCE_CUDA=1 MMCV_WITH_OPS=1 pip install --no-build-isolation --no-cache-dir '
        f"'{name}=={number.split('+')[0]}'\n"
        '  To run on the CPU instead: export CUDA_VISIBLE_DEVICES='
    )


def describe_problem(found: dict[str, dict[str, str]], compiled_ops: bool) -> str | None:
    """Error message if the installed mm packages are not compatible.

    Args:
        found: Result of :func:`installed_versions`.
        compiled_ops: Whether mmcv has compiled ops.

    Returns:
        The problem with commands that solve it; None if the packages are one of the two stacks.
    """
    for module, installed in found.items():
        if len(installed) > 1:
            names = ' and '.join(f'{name} {number}' for name, number in installed.items())
            return (
                f'{names} both provide `{module}` and overwrite each other. '
                f'Create a new environment with one of them:\n{_commands(STACKS)}'
            )
    missing = [module for module, installed in found.items() if not installed]
    if missing:
        return (
            f'{", ".join(missing)} {"are" if len(missing) > 1 else "is"} missing. '
            f'Install one of the two stacks:\n{_commands(STACKS)}'
        )

    versions = {module: next(iter(installed.values())) for module, installed in found.items()}
    nearest = min(STACKS, key=lambda stack: len(stack.version_mismatch(versions)))
    mismatch = nearest.version_mismatch(versions)
    if mismatch:
        present = ', '.join(f'{module} {number}' for module, number in versions.items())
        expected = ', '.join(f'{module} {bounds}' for module, bounds in mismatch.items())
        return (
            f'{present} are not compatible: expected {expected}. '
            f'To install a compatible set:\n{_commands((nearest,))}'
        )
    if not compiled_ops:
        name = next(iter(found['mmcv']))
        return (
            f'{name} {versions["mmcv"]} is installed without its compiled ops (mmcv._ext). '
            f'Compile them with a C++17 compiler:\n    pip uninstall -y {name}\n'
            f'{_commands((nearest,))}'
        )
    return None


def _commands(stacks: tuple[Stack, ...]) -> str:
    return '\n'.join(
        f'  {stack.name} (or `make env STACK={stack.name}`):\n    {stack.command}'
        for stack in stacks
    )


def require_mm_packages() -> None:
    """Raise ImportError unless the mm packages are compatible with each other and with the GPU."""
    found = installed_versions()
    problem = describe_problem(found, has_compiled_ops())
    if problem is None and (cuda := cuda_without_ops()):
        problem = describe_lacking_cuda(found, cuda)
    if problem is not None:
        raise ImportError(f'clipself_mm needs mmengine, mmcv with its ops and mmdet: {problem}')


if __name__ == '__main__':
    try:
        require_mm_packages()
    except ImportError as error:
        sys.exit(str(error))
