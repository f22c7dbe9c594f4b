"""Which CLIP is meant: an open_clip model name or folder, its configuration and its weights."""

import json
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import open_clip

from .vision_tower import CLIP_MEAN, CLIP_STD

CONFIG_NAME = 'open_clip_config.json'
WEIGHTS_NAME = 'open_clip_model.safetensors'


@dataclass(frozen=True)
class TowerSource:
    """Everything needed to build a CLIP's towers and to write them out again.

    Attributes:
        model: Name that open_clip understands.
        config: open_clip's model configuration (``embed_dim``, ``vision_cfg``, ``text_cfg``, ...).
        checkpoint: File with the weights of both towers, or None for random weights.
        preprocess: open_clip's ``preprocess_cfg``: ``mean`` and ``std`` in 0-1 units, and more.
    """

    model: str
    config: dict[str, Any] = field(repr=False)
    checkpoint: str | None = None
    preprocess: dict[str, Any] = field(
        default_factory=lambda: {'mean': list(CLIP_MEAN), 'std': list(CLIP_STD)}, repr=False
    )


def find_source(model: str, checkpoint: str | None = None) -> TowerSource:
    """Resolve a model name and a file into a source.

    Args:
        model: An open_clip name (``EVA02-B-16``), a folder ``local-dir:PATH`` with an
            ``open_clip_config.json``, or a folder inside an installed package,
            ``pkg:PACKAGE/FOLDER`` (``pkg:clipself_mm.shapes/tiny_clip``).
        checkpoint: File with the weights. A folder brings its own; a file given here wins.

    Raises:
        FileNotFoundError: The folder, its configuration or the checkpoint is missing.
        ValueError: The name is unknown, or the configuration is not open_clip's.
    """
    if model.startswith('pkg:'):
        package, _, folder = model.removeprefix('pkg:').partition('/')
        model = f'local-dir:{files(package) / folder}'
    if checkpoint is not None and not Path(checkpoint).is_file():
        raise FileNotFoundError(
            f'{checkpoint}: no such file; expected the weights of {model} '
            '(docs/data.md says where each published file comes from)'
        )
    if model.startswith('local-dir:'):
        return _source_of_folder(model, checkpoint)
    config = open_clip.get_model_config(model)
    if config is None:
        near = [name for name in open_clip.list_models() if name[:5].lower() == model[:5].lower()]
        raise ValueError(f'open_clip knows no model {model!r}; similar names: {", ".join(near)}')
    return TowerSource(model, config, checkpoint)


def _source_of_folder(model: str, checkpoint: str | None) -> TowerSource:
    folder = Path(model.removeprefix('local-dir:'))
    path = folder / CONFIG_NAME
    if not path.is_file():
        raise FileNotFoundError(f'{path}: no such file; a CLIP folder has one beside its weights')
    try:
        content = json.loads(path.read_text())
        config, preprocess = content['model_cfg'], content.get('preprocess_cfg', {})
    except (json.JSONDecodeError, KeyError) as error:
        raise ValueError(f'{path}: expected json with a "model_cfg": {error!r}') from error
    if checkpoint is None:
        checkpoint = str(folder / WEIGHTS_NAME)
        if not Path(checkpoint).is_file():
            raise FileNotFoundError(f'{checkpoint}: no such file; expected the weights of {model}')
    return TowerSource(
        model,
        config,
        checkpoint,
        {'mean': list(CLIP_MEAN), 'std': list(CLIP_STD)} | preprocess,
    )
