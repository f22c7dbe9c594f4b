"""What a checkpoint's pickle may name: tensors in containers.

torch's `weights_only` refuses a training checkpoint for what is stored beside its tensors (log
values, arguments); torch before 2.5 cannot be told to ignore that, and later versions would import
and build it. Here it becomes a `Placeholder`, on torch 2.1 as on the current one.
"""

from __future__ import annotations

import pickle
import re
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import IO, Any

import torch
from torch import Tensor

from clipself_mm.io.safe_pickle import Builder, SafeUnpickler

IGNORED = re.compile(
    r'(numpy|mmengine|mmcv|mmdet)\.[\w.]+|argparse\.Namespace|pathlib\.\w+Path|_codecs\.encode'
    r'|torch\.device|builtins\.(getattr|set)'
)
"""What training code pickles beside the tensors. It is neither imported nor called."""


def first(value: object, *_: object) -> object:
    """The first argument: a parameter's tensor, the list that a type mark is put on."""
    return value


def tensor_of(
    storage: torch.storage.TypedStorage,
    offset: int,
    size: Sequence[int],
    stride: Sequence[int],
    *_: object,
) -> Tensor:
    """A view of a storage; gradient flags and hooks are ignored.

    Args:
        storage: Bytes and their type.
        offset: First element.
        size: Shape.
        stride: Elements between neighbours, per dimension.

    Raises:
        RuntimeError: The tensor does not lie within the storage.
    """
    flat = torch.empty(0, dtype=storage.dtype).set_(storage._untyped_storage)
    return flat.as_strided(size, stride, offset)


TENSORS: Mapping[str, object] = {
    'collections.OrderedDict': OrderedDict,
    'torch.Size': torch.Size,
    'torch._utils._rebuild_parameter': Builder(first),
    'torch._utils._rebuild_tensor': Builder(tensor_of),
    'torch._utils._rebuild_tensor_v2': Builder(tensor_of),
    **{f'torch.{name}': kind for name, kind in vars(torch).items() if type(kind) is torch.dtype},
}
"""What tensors and their containers are built with."""


class TensorUnpickler(SafeUnpickler):
    """Unpickles tensors in containers; what torch calls for its old file format.

    Args:
        file: Opened in binary mode.
        **kwargs: As in `pickle.Unpickler`.
    """

    def __init__(self, file: IO[bytes], **kwargs: Any) -> None:
        super().__init__(file, TENSORS, IGNORED, **kwargs)


class TensorPickle:
    """The pickle module to give to `torch.load`."""

    Unpickler = TensorUnpickler
    UnpicklingError = pickle.UnpicklingError

    @staticmethod
    def load(file: IO[bytes], **kwargs: Any) -> object:
        """Read one pickle of torch's old file format."""
        return TensorUnpickler(file, **kwargs).load()
