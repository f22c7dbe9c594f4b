"""From any CLIP that opens to any layout that can be written (`tools/convert_tower.py`)."""

from __future__ import annotations

from pathlib import Path

from ..build_tower import load_tower, tower_of
from ..weights.checkpoints import Checkpoint, check_activation, read_checkpoint
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
from .onnx_export import TOLERANCE, compare_onnx, export_onnx
from .tower_export import check_complete, write_authors, write_hugging_face, write_open_clip

TARGETS = ('open_clip', 'authors', 'hugging_face', 'onnx')

_WRITERS = {
    'open_clip': write_open_clip,
    'authors': write_authors,
    'hugging_face': write_hugging_face,
}
_FOLDERS = ('open_clip', 'hugging_face')
_FILES = {
    CONFIG_NAME,
    WEIGHTS_NAME,
    HF_CONFIG_NAME,
    HF_PREPROCESS_NAME,
    HF_WEIGHTS_NAME,
    *TOKENIZER_NAMES,
}
"""What a written folder holds; only such a folder is replaced."""


def convert_tower(
    source: str,
    target: Path,
    to: str,
    model: str | None = None,
    text_from: str | None = None,
    size: tuple[int, int] | None = None,
    trust_pickle: bool = False,
) -> list[str]:
    """Read a CLIP and write it in another layout; nothing is written unless all of it fits.

    Args:
        source: A file that ``read_checkpoint`` opens, a folder or hub name that ``find_source``
            knows, or a pretrained tag of ``model``.
        target: Folder (``open_clip``, ``hugging_face``) or file (``authors``, ``onnx``); what was
            written there before is replaced.
        to: One of ``TARGETS``.
        model: The architecture, where the source is a file or a tag.
        text_from: File with the text tower and logit scale, where the source has none.
        size: (H, W) of an ONNX file's input; the size of the tower's training by default.
        trust_pickle: Run the source's pickle, see ``read_weight_file``.

    Returns:
        Lines that say what the source was and what was written.

    Raises:
        FileNotFoundError: The source is missing.
        ValueError: The source is no CLIP of the model's architecture or activation, or lacks a text
            tower; the architecture does not exist in the target's layout; the target holds other
            files; or an ONNX file does not give what the tower gives.
        ModuleNotFoundError: An ONNX file is written, and onnxruntime to check it is missing.
        NotImplementedError: The architecture has no dense path (``onnx``).
    """
    _check_target(target, to in _FOLDERS)
    clip = _find(source, model)
    checkpoint = read_checkpoint(clip.checkpoint, trust_pickle)
    check_activation(checkpoint, clip, clip.checkpoint)
    lines = [
        f'{clip.checkpoint}: {checkpoint.layout.holder}, names of {checkpoint.layout.naming}, '
        f'{len(checkpoint.state)} tensors'
    ]
    if checkpoint.layout.holder == 'CLIPSelf run':
        lines.append('the raw student; the blend of the run is in its folder "tower"')
    if to == 'onnx':
        return lines + _write_onnx(checkpoint, clip, target, size)
    state, origin = checkpoint.state, clip.checkpoint
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
    """Refuse to replace what no conversion has written."""
    if not target.exists():
        return
    if target.is_dir() != is_folder:
        raise ValueError(
            f'{target}: exists and is not {"a folder" if is_folder else "a file"}, which is wanted'
        )
    foreign = sorted({item.name for item in target.iterdir()} - _FILES) if is_folder else []
    if foreign:
        raise ValueError(
            f'{target}: would be replaced, and holds what is no part of it: '
            f'{", ".join(foreign[:5])}; name another folder'
        )


def _find(source: str, model: str | None) -> TowerSource:
    folder = Path(source)
    if (folder / CONFIG_NAME).is_file() or (folder / HF_CONFIG_NAME).is_file():
        return find_source(f'local-dir:{source}')
    if source.startswith(('local-dir:', 'hf-hub:', 'pkg:')):
        return find_source(source)
    if model is None:
        raise ValueError(
            f'{source}: a file does not say which CLIP it is of; name it with --model (an '
            'open_clip name such as EVA02-B-16 or ViT-B-16-quickgelu, or local-dir:FOLDER)'
        )
    return find_source(model, source)


def _write_onnx(
    checkpoint: Checkpoint, clip: TowerSource, target: Path, size: tuple[int, int] | None
) -> list[str]:
    tower = tower_of(clip)
    load_tower(tower, checkpoint)
    size = size or (tower.image_size, tower.image_size)
    export_onnx(tower, target, size)
    difference = compare_onnx(tower, target, size)
    if not difference <= TOLERANCE:
        target.unlink()
        raise ValueError(
            f'{target}: its dense map differs by {difference:.1e} from the tower (onnxruntime), '
            f'expected at most {TOLERANCE:.0e}; it is removed'
        )
    return [
        f'{target}: dense map for {size[0]} x {size[1]} pixels, {difference:.1e} from the tower at '
        'most (onnxruntime)'
    ]
