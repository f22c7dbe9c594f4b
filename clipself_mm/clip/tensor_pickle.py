"""A pickle module that builds tensors in containers and runs nothing else.

torch's `weights_only` refuses a training checkpoint for what stands beside its tensors (log values,
arguments); torch before 2.5 cannot be told to let that pass, and later ones would import and build
it. Here what training code is known to write becomes an empty stand-in, and every other name in a
pickle is an error. That holds for torch 2.1 as for the current one.
"""

from __future__ import annotations

import pickle
import re

import torch

BUILDERS = frozenset(
    {
        'collections.OrderedDict',
        'torch.Size',
        'torch.device',
        'torch._utils._rebuild_parameter',
        'torch._utils._rebuild_tensor',
        'torch._utils._rebuild_tensor_v2',
    }
)
"""What a tensor and its containers are built with; storages are torch's own business."""

BYSTANDERS = re.compile(
    r'(numpy|mmengine|mmcv|mmdet)\.[\w.]+|argparse\.Namespace|pathlib\.\w+Path|_codecs\.encode'
    r'|(builtins|__builtin__)\.(getattr|set)'
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
            return super().find_class(module, name)
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
