"""Reads the `.pth` files of mm runners, whose pickles hold more than tensors, without running any.

torch's `weights_only` refuses a training checkpoint of mmengine for the log values it carries
(`HistoryBuffer`, numpy numbers); torch before 2.5 cannot be told to let them pass, and later ones
would have to import and build them. Here tensors are built as usual, what mm writes beside them
becomes an empty stand-in, and every other name in the pickle is an error. That holds for torch 2.1
as for the current one.
"""

from __future__ import annotations

import pickle
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path

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
    r'(numpy|mmengine|mmcv|mmdet)\.[\w.]+|_codecs\.encode|(builtins|__builtin__)\.(getattr|set)'
)
"""What mm runners pickle beside the tensors. It is neither imported nor called."""


def read_checkpoint(path: str | Path) -> dict:
    """Read a checkpoint of mmcv's (mmdet 2) or mmengine's runner, or a bare state dict.

    Args:
        path: File written by `torch.save`.

    Returns:
        Its content, on the CPU. What was no tensor, container, number or text is a `StandIn`.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is broken, no dictionary, or names code in its pickle.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'{path}: no such file; expected a checkpoint of a detector')
    try:
        if _is_script(path):
            raise RuntimeError('it is a TorchScript archive')
        content = torch.load(
            path, map_location='cpu', weights_only=False, pickle_module=TensorPickle
        )
    except ForeignNameError as error:
        raise ValueError(
            f'{path}: expected tensors and what mm runners write beside them, but its pickle names '
            f'{error}; nothing of it was run. If the file is trustworthy, load it where that name '
            'is installed and save its state_dict alone'
        ) from error
    except Exception as error:  # broken bytes fail in any way
        raise ValueError(f'{path}: not a complete checkpoint file: {error}') from error
    if not isinstance(content, Mapping):
        raise ValueError(f'{path}: expected a dictionary, found a {type(content).__name__}')
    return dict(content)


class ForeignNameError(pickle.UnpicklingError):
    """A pickle names something that no mm runner writes."""


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


def _is_script(path: Path) -> bool:
    """Whether torch would hand the file to `torch.jit.load`, which runs what it finds."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith('/constants.pkl') for name in archive.namelist())
