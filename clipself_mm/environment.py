"""Checks that the mm packages are there and fit each other, and says plainly what is missing.

`clipself_mm` calls :func:`require_mm_packages` before it imports any of them, since a pair that
does not fit fails far from its cause: mmcv without compiled ops only when a model is built, mmcv
without CUDA at a detector's first RoIAlign, mmdet 3.3 on mmcv 2.2 with a bare assertion. The file
needs the standard library only, until the packages are there, and runs as a script too:
``python clipself_mm/environment.py``.
"""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass
from importlib.machinery import PathFinder
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

# Module -> the distributions that supply it, the maintained one first.
DISTRIBUTIONS = {
    'mmengine': ('onedl-mmengine', 'mmengine', 'mmengine-lite'),
    'mmcv': ('onedl-mmcv', 'mmcv', 'mmcv-lite'),
    'mmdet': ('onedl-mmdetection', 'mmdet'),
}


@dataclass(frozen=True)
class Stack:
    """Versions of the mm family that work together.

    Attributes:
        name: The value of ``STACK`` that `make env` knows it by.
        ranges: Module -> (lowest version that fits, lowest version above it that does not).
        packages: What pip installs, mmcv first.
    """

    name: str
    ranges: dict[str, tuple[str, str]]
    packages: tuple[str, ...]

    def state_dict_mismatch(self, found: dict[str, str]) -> dict[str, str]:
        """Modules of `found` (module -> version) outside their range, with that range."""
        return {
            module: f'>={low},<{high}'
            for module, (low, high) in self.ranges.items()
            if not _key(low) <= _key(found[module]) < _key(high)
        }

    @property
    def command(self) -> str:
        """The commands that install the stack next to a torch that is already there."""
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
    """Module -> {distribution: version} of what is installed for it, read without importing it."""
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
    """Whether mmcv's extension module `mmcv._ext` is there, without importing mmcv."""
    spec = find_spec('mmcv')
    if spec is None or spec.origin is None:
        return False
    return PathFinder.find_spec('_ext', [str(Path(spec.origin).parent)]) is not None


def cuda_without_ops() -> str | None:
    """CUDA's version as of torch, where that sees a GPU which mmcv's ops cannot use; else None.

    mmcv compiles for CUDA where torch sees a GPU or `FORCE_CUDA=1` is set, and for processors alone
    elsewhere (on a login node), without a word. The ops say afterwards what they were made for.
    """
    import torch

    if not torch.cuda.is_available():
        return None
    from mmcv.ops import get_compiling_cuda_version

    made_for = get_compiling_cuda_version()
    return (torch.version.cuda or torch.version.hip) if made_for == 'not available' else None


def describe_lacking_cuda(found: dict[str, dict[str, str]], cuda: str) -> str:
    """What is wrong where :func:`cuda_without_ops` gives a version, with the commands that help.

    Args:
        found: As :func:`installed_versions` returns it, of a stack that fits.
        cuda: That version.
    """
    name, number = next(iter(found['mmcv'].items()))
    return (
        f'{name} {number} was compiled without CUDA, and torch (CUDA {cuda}) sees a GPU: the first '
        "RoIAlign of a detector would fail there. Compile it again with the nvcc of torch's CUDA:\n"
        f'    export CUDA_HOME=/usr/local/cuda    # its bin/nvcc --version: release {cuda}\n'
        f'    pip uninstall -y {name}\n'
        '    FORCE_CUDA=1 MMCV_WITH_OPS=1 pip install --no-build-isolation --no-cache-dir '
        f"'{name}=={number.split('+')[0]}'\n"
        '  To run on the processor in spite of the GPU: export CUDA_VISIBLE_DEVICES='
    )


def describe_problem(found: dict[str, dict[str, str]], compiled_ops: bool) -> str | None:
    """What keeps the installed mm packages from working together, in plain words.

    Args:
        found: As :func:`installed_versions` returns it.
        compiled_ops: Whether mmcv has its compiled ops.

    Returns:
        The problem with the commands that solve it, or None when one of the two stacks fits.
    """
    for module, installed in found.items():
        if len(installed) > 1:
            names = ' and '.join(f'{name} {number}' for name, number in installed.items())
            return (
                f'{names} both supply `{module}` and overwrite each other. '
                f'Make a fresh environment with one of them:\n{_commands(STACKS)}'
            )
    missing = [module for module, installed in found.items() if not installed]
    if missing:
        return (
            f'{", ".join(missing)} {"are" if len(missing) > 1 else "is"} missing. '
            f'Two sets of packages fit, either will do:\n{_commands(STACKS)}'
        )

    versions = {module: next(iter(installed.values())) for module, installed in found.items()}
    nearest = min(STACKS, key=lambda stack: len(stack.state_dict_mismatch(versions)))
    state_dict_mismatch = nearest.state_dict_mismatch(versions)
    if state_dict_mismatch:
        came = ', '.join(f'{module} {number}' for module, number in versions.items())
        wanted = ', '.join(f'{module} {bounds}' for module, bounds in state_dict_mismatch.items())
        return (
            f'{came} do not fit each other: expected {wanted}. '
            f'To get a set that fits:\n{_commands((nearest,))}'
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
        f'  {stack.name} (`make env STACK={stack.name}` does it all):\n    {stack.command}'
        for stack in stacks
    )


def require_mm_packages() -> None:
    """Raises ImportError with what is wrong unless the mm packages fit each other and the GPU."""
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
