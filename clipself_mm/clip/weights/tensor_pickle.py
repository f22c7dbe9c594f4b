"""Restricted unpickler for checkpoints: tensors in containers only.

`weights_only=True` of torch refuses training checkpoints that also hold log values or arguments.
torch before 2.5 cannot ignore these objects, later versions import and build them. Here they
become a `Placeholder`, with any torch version.
"""

from __future__ import annotations

import pickle
import re
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import IO, Any, ClassVar

import torch
from torch import Tensor

from clipself_mm.io.safe_pickle import Builder, SafeUnpickler

IGNORED = re.compile(
    r'(numpy|mmengine|mmcv|mmdet)\.[\w.]+|argparse\.Namespace|pathlib\.\w+Path|_codecs\.encode'
    r'|torch\.device|builtins\.(getattr|set)'
)
"""Other objects in training checkpoints; they are not imported or called."""


def first(value: object, *_: object) -> object:
    """The first argument: the tensor of a parameter, or the list or dict with a type tag."""
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
        storage: Typed storage.
        offset: First element.
        size: Shape.
        stride: Elements between neighbours, per dimension.
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
"""Functions and types that build tensors and their containers."""


class TensorUnpickler(SafeUnpickler):
    """Unpickles tensors in containers.

    Args:
        file: Opened in binary mode.
        allowed: Names that are not ignored (see `SafeUnpickler`).
        **kwargs: As in `pickle.Unpickler`.
    """

    def __init__(
        self, file: IO[bytes], allowed: Mapping[str, object] = TENSORS, **kwargs: Any
    ) -> None:
        super().__init__(file, allowed, IGNORED, **kwargs)

    def load_build(self) -> None:
        """Set the state of an object; that of a tensor may ask for any memory."""
        if isinstance(self.stack[-2], Tensor):
            raise pickle.UnpicklingError('the pickle sets state on a tensor')
        super().load_build()

    dispatch: ClassVar[dict] = {**SafeUnpickler.dispatch, pickle.BUILD[0]: load_build}


class TensorPickle:
    """The `pickle_module` of `torch.load`, which uses it for its old file format.

    Args:
        allowed: See `TensorUnpickler`.
    """

    __name__ = 'TensorPickle'
    UnpicklingError = pickle.UnpicklingError

    def __init__(self, allowed: Mapping[str, object]) -> None:
        class Unpickler(TensorUnpickler):
            def __init__(self, file: IO[bytes], **kwargs: Any) -> None:
                super().__init__(file, allowed, **kwargs)

        self.Unpickler = Unpickler

    def load(self, file: IO[bytes], **kwargs: Any) -> object:
        """Read one pickle of torch's old file format."""
        return self.Unpickler(file, **kwargs).load()
