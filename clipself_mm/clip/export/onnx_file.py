"""Write a module as an ONNX file with metadata, and open one."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.onnx.utils import export

from clipself_mm.io.atomic_write import atomic_write

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

OPSET = 17
"""The first with layer normalisation, the last that torch 2.1 supports."""


def write_onnx(
    module: nn.Module,
    inputs: Mapping[str, Tensor],
    outputs: Sequence[str],
    file: Path,
    axes: Mapping[str, Mapping[int, str]],
    metadata: Mapping[str, object] | None = None,
) -> Path:
    """Trace a module and write its graph, atomically.

    Args:
        module: Takes `inputs` in this order, without gradient.
        inputs: Name to example.
        outputs: Their names.
        file: Output `.onnx` file.
        axes: Axes of any length, with names: `{'tokens': {0: 'T'}}`.
        metadata: What the graph does not say; each value is stored as JSON.

    Returns:
        `file`.

    Raises:
        ModuleNotFoundError: There is metadata, and onnx is not installed.
    """
    with atomic_write(file) as part, torch.no_grad(), warnings.catch_warnings():
        # The tracer warns about every size that becomes a constant, which is intended here.
        warnings.simplefilter('ignore')
        export(
            module,
            tuple(inputs.values()),
            str(part),
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_axes={name: dict(own) for name, own in axes.items()},
            opset_version=OPSET,
        )
        if metadata:
            _add_metadata(part, metadata)
    return file


def open_onnx(file: Path) -> InferenceSession:
    """A session of onnxruntime on the CPU, with as many threads as torch has.

    Raises:
        ModuleNotFoundError: onnxruntime is not installed.
    """
    try:
        import onnxruntime
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f'{file} is written but not checked: the check needs onnxruntime '
            '(pip install "clipself_mm[onnx]")'
        ) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    return onnxruntime.InferenceSession(str(file), options, providers=['CPUExecutionProvider'])


def _add_metadata(file: Path, metadata: Mapping[str, object]) -> None:
    import onnx

    graph = onnx.load(str(file))
    onnx.helper.set_model_props(
        graph, {key: json.dumps(value, ensure_ascii=False) for key, value in metadata.items()}
    )
    onnx.save(graph, str(file))
