"""Operations for which the host waits for the device, by who calls them."""

import sys
from collections import Counter

from torch import Tensor, bool, uint8
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

WAITING = ('_local_scalar_dense', 'nonzero', 'masked_select', 'equal', 'unique', '_unique2')
LEAVING = (Tensor.tolist, Tensor.cpu, Tensor.numpy)
"""Methods that take values from the device, which on a processor are no operations."""
CONSTANT = 'lift_fresh'
"""A tensor of Python numbers: made in a step, it is copied to the device, which waits."""
PACKAGES = ('clipself_mm', 'mmdet', 'mmcv', 'mmengine')


def waits(func, args):
    """Whether an operation synchronises with the device."""
    name = func.overloadpacket.__name__
    indices = args[1] if name in ('index', 'index_put', 'index_put_') else ()
    masks = [i for i in indices if isinstance(i, Tensor) and i.dtype in (bool, uint8)]
    return name in WAITING or masks


class NoWaiting(TorchDispatchMode):
    """Raises on operations that synchronise with the device, and on lists of floats as tensors."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        constant = func.overloadpacket.__name__ == CONSTANT
        if waits(func, args) or (constant and args[0].ndim and args[0].is_floating_point()):
            raise AssertionError(f'{func} waits for the device')
        return func(*args, **(kwargs or {}))


class NoBlockingCopy(TorchDispatchMode):
    """Raises on copies from the processor to another device that are not `non_blocking`."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if func.overloadpacket.__name__ == '_to_copy' and not (kwargs or {}).get('non_blocking'):
            assert result.device == args[0].device or args[0].device.type != 'cpu', 'it waits'
        return result


class Waits(TorchDispatchMode):
    """Counts such operations, constants and methods, by package and function."""

    def __init__(self):
        super().__init__()
        self.found = Counter()
        self.methods = Methods(self.found)

    def __enter__(self):
        self.methods.__enter__()
        return super().__enter__()

    def __exit__(self, *error):
        super().__exit__(*error)
        self.methods.__exit__(*error)

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if waits(func, args) or func.overloadpacket.__name__ == CONSTANT:
            self.found[caller()] += 1
        return func(*args, **(kwargs or {}))

    def of(self, package):
        """Functions of a package that wait, and how often."""
        return {name: count for (where, name), count in self.found.items() if where == package}


class Methods(TorchFunctionMode):
    """Counts what `LEAVING` lists."""

    def __init__(self, found):
        super().__init__()
        self.found = found

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func in LEAVING:
            self.found[caller()] += 1
        return func(*args, **(kwargs or {}))


def caller():
    """Package and name of the innermost function of `PACKAGES` that is running."""
    frame = sys._getframe(2)
    while frame is not None:
        package = frame.f_globals.get('__name__', '').partition('.')[0]
        if package in PACKAGES:
            return package, frame.f_code.co_name
        frame = frame.f_back
    return 'others', ''
