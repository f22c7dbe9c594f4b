"""What a weights file says about the activation of its CLIP: QuickGELU (OpenAI's) or GELU.

The tensors are the same for both. Every file that this package writes has a record under the name
`RECORD`: in the header of safetensors, beside `state_dict` in a `.pt`, in the metadata of a module
in the state dict of a run or a detector.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors import safe_open

from .layouts import CHECKPOINT_KINDS, Layout, take_state
from .tower_source import HF_WEIGHTS_NAMES, WEIGHTS_NAMES, find_source
from .weight_file import is_safetensors
from .weight_shards import INDEX_ENDING

RECORD = 'quick_gelu'
"""Name of the record; its value is whether the CLIP has QuickGELU."""
_HEADER = {'true': True, 'false': False}
"""Values in the header of safetensors, which has text only."""


def header_record(quick_gelu: bool) -> dict[str, str]:
    """The record for the header of safetensors."""
    return {RECORD: str(quick_gelu).lower()}


def read_activation(path: str | Path, content: Mapping, layout: Layout) -> bool | None:
    """Whether the CLIP of a weights file has QuickGELU; None if nothing says so.

    A file without a record has the activation of the configuration in its folder, if it has the
    name of the weights there.

    Args:
        path: The file.
        content: What it holds.
        layout: Its layout; files in OpenAI's have QuickGELU.
    """
    path = Path(path)
    if layout.key_style == 'OpenAI':
        return True
    for record in (
        _of_header(path),
        content.get(RECORD),
        _of_module(content, layout),
        _of_folder(path),
    ):
        if isinstance(record, bool):
            return record
    return None


def _of_header(path: Path) -> bool | None:
    if path.name.endswith(INDEX_ENDING) or not is_safetensors(path):
        return None
    with safe_open(path, framework='pt') as file:
        return _HEADER.get((file.metadata() or {}).get(RECORD, ''))


def _of_module(content: Mapping, layout: Layout) -> object:
    """The record in the metadata that torch's state dicts have for each module."""
    place = next((kind.place for kind in CHECKPOINT_KINDS if kind.name == layout.kind), '')
    modules = getattr(take_state(content), '_metadata', None)
    metadata = modules.get(place) if isinstance(modules, Mapping) else None
    return metadata.get(RECORD) if isinstance(metadata, Mapping) else None


def _of_folder(path: Path) -> bool | None:
    if path.name not in (*WEIGHTS_NAMES, *HF_WEIGHTS_NAMES):
        return None
    try:
        return find_source(f'local-dir:{path.parent}').quick_gelu
    except (FileNotFoundError, ValueError):  # not the folder of a CLIP
        return None
