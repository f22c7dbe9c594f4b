"""Convert a CLIP from any readable layout to any writable one (`tools/convert_tower.py`)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..activation import check_activation
from ..build_tower import load_tower, tower_of
from ..weights.checkpoints import Checkpoint, read_checkpoint
from ..weights.tower_source import (
    CONFIG_NAME,
    HF_CONFIG_NAME,
    HF_PREPROCESS_NAME,
    HF_WEIGHTS_NAME,
    TOKENIZER_NAMES,
    WEIGHTS_NAME,
    TowerSource,
    find_source,
)
from .model_card import CARD_NAME, NEW_CARD_NAME
from .onnx_export import TOLERANCE, compare_onnx, export_onnx
from .tower_export import (
    State,
    check_complete,
    write_authors,
    write_hugging_face,
    write_open_clip,
)

TARGETS = ('open_clip', 'authors', 'hugging_face', 'onnx')

_WRITERS: dict[str, Callable[[State, TowerSource, Path], Path]] = {
    'open_clip': write_open_clip,
    'authors': write_authors,
    'hugging_face': write_hugging_face,
}
_FOLDERS = ('open_clip', 'hugging_face')
_FILES = {
    CARD_NAME,
    NEW_CARD_NAME,
    CONFIG_NAME,
    WEIGHTS_NAME,
    HF_CONFIG_NAME,
    HF_PREPROCESS_NAME,
    HF_WEIGHTS_NAME,
    *TOKENIZER_NAMES,
}
"""Files of an exported folder; only a folder of such files is replaced."""


def convert_tower(
    source: str,
    target: Path,
    to: str,
    model: str | None = None,
    text_from: str | None = None,
    size: tuple[int, int] | None = None,
    trust_pickle: bool = False,
) -> list[str]:
    """Read a CLIP and write it in another layout; the source is checked before anything is written.

    Args:
        source: A file for ``read_checkpoint``, a folder or hub name for ``find_source``, or a
            pretrained tag of ``model``.
        target: Output folder (``open_clip``, ``hugging_face``) or file (``authors``: the official
            implementation, ``onnx``); an earlier export there is replaced.
        to: One of ``TARGETS``.
        model: The architecture, if the source is a file or a tag.
        text_from: File with the text tower and logit scale, if the source has none.
        size: (H, W) of the input of an ONNX file; by default the training size of the tower.
        trust_pickle: Run the source's pickle, see ``read_weight_file``.

    Returns:
        Lines for the user: what was found and what was written.

    Raises:
        FileNotFoundError: The source is missing.
        ValueError: The source does not match the model's architecture or activation, or has no text
            tower; the target's layout does not support the architecture; the target holds other
            files; or the output of an ONNX file differs from the tower.
        ModuleNotFoundError: onnxruntime, which checks the written ONNX file, is not installed.
        NotImplementedError: The architecture has no dense path (``onnx``).
    """
    _check_target(target, to in _FOLDERS)
    clip = _find(source, model)
    file = clip.require_checkpoint()
    checkpoint = read_checkpoint(file, trust_pickle)
    check_activation(checkpoint, clip, file)
    lines = [
        f'{file}: {checkpoint.layout.kind}, keys of {checkpoint.layout.key_style}, '
        f'{len(checkpoint.state)} tensors'
    ]
    if checkpoint.layout.kind == 'CLIPSelf run':
        lines.append('the raw student; the weight ensemble is in the folder "tower" of the run')
    if to == 'onnx':
        return lines + _write_onnx(checkpoint, clip, target, size)
    state, origin = checkpoint.state, file
    if text_from is not None:
        other = read_checkpoint(text_from)
        check_activation(other, clip, text_from)
        state = {key: value for key, value in state.items() if key.startswith('visual.')}
        state |= {key: value for key, value in other.state.items() if not key.startswith('visual.')}
        origin = f'{origin} with the text tower of {text_from}'
    check_complete(state, clip, origin)
    written = _WRITERS[to](state, clip, target)
    return [*lines, f'{written}: {len(state)} tensors for {to}']


def _check_target(target: Path, is_folder: bool) -> None:
    """Check that the target does not exist or is an earlier export."""
    if not target.exists():
        return
    if target.is_dir() != is_folder:
        raise ValueError(
            f'{target}: expected {"a folder" if is_folder else "a file"} or nothing, found '
            f'{"a file" if is_folder else "a folder"}'
        )
    foreign = sorted({item.name for item in target.iterdir()} - _FILES) if is_folder else []
    if foreign:
        raise ValueError(
            f'{target}: would be replaced, but has other files: {", ".join(foreign[:5])}; '
            'use another folder'
        )


def _find(source: str, model: str | None) -> TowerSource:
    folder = Path(source)
    if (folder / CONFIG_NAME).is_file() or (folder / HF_CONFIG_NAME).is_file():
        return find_source(f'local-dir:{source}')
    if source.startswith(('local-dir:', 'hf-hub:', 'pkg:')):
        return find_source(source)
    if model is None:
        raise ValueError(
            f'{source}: the architecture of a file is unknown; give it with --model (an '
            'open_clip name such as EVA02-B-16 or ViT-B-16-quickgelu, or local-dir:FOLDER)'
        )
    return find_source(model, source)


def _write_onnx(
    checkpoint: Checkpoint, clip: TowerSource, target: Path, size: tuple[int, int] | None
) -> list[str]:
    tower = tower_of(clip)
    load_tower(tower, clip, checkpoint)
    size = size or (tower.image_size, tower.image_size)
    export_onnx(tower, target, size)
    difference = compare_onnx(tower, target, size)
    if not difference <= TOLERANCE:
        target.unlink()
        raise ValueError(
            f'{target}: the dense map (onnxruntime) differs by {difference:.1e} from the tower, '
            f'expected at most {TOLERANCE:.0e}; the file is removed'
        )
    return [
        f'{target}: dense map for {size[0]} x {size[1]} pixels, differs by at most '
        f'{difference:.1e} from the tower (onnxruntime)'
    ]
