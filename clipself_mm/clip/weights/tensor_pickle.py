"""A pickle module that builds tensors in containers and runs nothing else.

torch's `weights_only` refuses a training checkpoint for what stands beside its tensors (log values,
arguments); torch before 2.5 cannot be told to let that pass, and later ones would import and build
it. Here what training code is known to write becomes an empty stand-in, and every other name in a
pickle is an error. That holds for torch 2.1 as for the current one.

A pickle can also give state to whatever it has built or named. What stands here for torch's
functions takes none, and looks at the bounds of a storage before it makes a tensor of it.
"""

from __future__ import annotations

import pickle
import re
from collections import OrderedDict
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

BYSTANDERS = re.compile(
    r'(numpy|mmengine|mmcv|mmdet)\.[\w.]+|argparse\.Namespace|pathlib\.\w+Path|_codecs\.encode'
    r'|torch\.device|(builtins|__builtin__)\.(getattr|set)'
)
"""What training code pickles beside the tensors. It is neither imported nor called."""


class ForeignNameError(pickle.UnpicklingError):
    """A pickle names something that is no part of a checkpoint."""


class StandIn:
    """Takes the place of an object that is not wanted; takes any state and does nothing."""

    def __new__(cls, *args: object, **kwargs: object) -> StandIn:
        """Ignore what the object would be made of."""
        return super().__new__(cls)

    def __init__(self, *args: object, **kwargs: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass

    def __setitem__(self, key: object, value: object) -> None:
        pass

    def append(self, item: object) -> None:
        """Ignore an item."""

    def extend(self, items: object) -> None:
        """Ignore items."""


class Builder:
    """A function that a pickle may call and cannot change.

    Args:
        build: The function.
    """

    __slots__ = ('_build',)

    def __init__(self, build: Callable[..., object]) -> None:
        self._build = build

    def __call__(self, *args: object) -> object:
        """Build the object."""
        return self._build(*args)

    def __setstate__(self, state: object) -> None:
        raise pickle.UnpicklingError('it gives a state to a function')


def first(value: object, *_: object) -> object:
    """The first of the arguments: a parameter's tensor, the list that a mark is put on."""
    return value


def tensor_of(
    storage: torch.storage.TypedStorage,
    offset: int,
    size: Sequence[int],
    stride: Sequence[int],
    *_: object,
) -> Tensor:
    """A tensor on a part of a storage; gradient flags and hooks that follow are passed over.

    Args:
        storage: Bytes and their type.
        offset: First element.
        size: Shape.
        stride: Elements from one entry to the next, by dimension.

    Raises:
        RuntimeError: The tensor would not lie within the storage.
    """
    flat = torch.empty(0, dtype=storage.dtype).set_(storage._untyped_storage)
    return flat.as_strided(size, stride, offset)


BUILDERS = {
    'collections.OrderedDict': OrderedDict,
    'torch.Size': torch.Size,
    'torch._utils._rebuild_parameter': Builder(first),
    'torch._utils._rebuild_tensor': Builder(tensor_of),
    'torch._utils._rebuild_tensor_v2': Builder(tensor_of),
}
"""What a tensor and its containers are built with."""


class TensorUnpickler(pickle.Unpickler):
    """Unpickles tensors in containers."""

    def find_class(self, module: str, name: str) -> object:
        """Give what a pickle may build with.

        Args:
            module: Module that the pickle names.
            name: Name in it.

        Raises:
            ForeignNameError: It is no part of a tensor, nor known beside one.
        """
        full = f'{module}.{name}'
        if full in BUILDERS:
            return BUILDERS[full]
        if module == 'torch' and isinstance(getattr(torch, name, None), torch.dtype):
            return getattr(torch, name)
        if BYSTANDERS.fullmatch(full):
            return StandIn
        raise ForeignNameError(full)


class TensorPickle:
    """What `torch.load` expects of a pickle module."""

    Unpickler = TensorUnpickler
    UnpicklingError = pickle.UnpicklingError

    @staticmethod
    def load(file: object, **kwargs: object) -> object:
        """Read one pickle of torch's old file format."""
        return TensorUnpickler(file, **kwargs).load()
