"""Writes the weights of a trained detector as one file, or as a folder that has all it needs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

from clipself_mm.checkpoint_loading import (
    DATASET_META,
    MODULE_METADATA,
    read_training_checkpoint,
)
from clipself_mm.clip import find_source
from clipself_mm.clip.export.model_card import (
    CARD_NAME,
    NEW_CARD_NAME,
    BaseWeights,
    Measured,
    ModelCard,
    base_weights,
    write_card,
)
from clipself_mm.clip.export.tower_export import export_tower, replace_folder, safetensors_bytes
from clipself_mm.clip.weights.activation_record import RECORD, header_record
from clipself_mm.clip.weights.checkpoints import check_finite
from clipself_mm.io.atomic_write import atomic_write

DTYPES = ('float32', 'bfloat16', 'float16')
"""Dtypes of the weights in a file."""


WEIGHTS, CONFIG, TOWER = 'detector.safetensors', 'config.py', 'tower'
"""What an exported folder has, beside its card."""
_HERE = '{{ fileDirname }}'
_TOWER_KEYS = 'backbone.tower.'


def export_detector(checkpoint: str | Path, path: str | Path, dtype: str = 'float32') -> int:
    """Write the weights and class names of a training's checkpoint, and `NAME.md`, its card.

    `load_from`, `tools/test.py` and the inferencers read the file as they read the checkpoint; so
    does `build_tower`, which takes the tower in it.

    Args:
        checkpoint: Checkpoint of a detector's training.
        path: Output `.safetensors` (written atomically).
        dtype: Dtype of the file's weights, one of `DTYPES`; models load them in their own.

    Returns:
        Number of parameters and statistics in the file.

    Raises:
        FileNotFoundError: There is no such checkpoint.
        ValueError: It is no checkpoint of a detector, its weights are not finite in this dtype, or
            the output's name has another ending.
    """
    if Path(path).suffix != '.safetensors':
        raise ValueError(f'{path}: expected the ending .safetensors')
    content = read_training_checkpoint(checkpoint)
    count = _write_weights(content, checkpoint, path, dtype)
    path = Path(path).with_suffix('.md')
    config = _config_of(content)
    write_card(
        _card(content, checkpoint, config, path.stem, ('CONFIG.py', f'{path.stem}.safetensors')),
        path,
        path,
    )
    return count


def _write_weights(
    content: Mapping[str, Any], checkpoint: str | Path, path: str | Path, dtype: str
) -> int:
    try:
        state, dataset_meta = content['state_dict'], content['meta']['dataset_meta']
        header = {DATASET_META: json.dumps(dataset_meta)}
    except (KeyError, TypeError) as error:
        raise ValueError(
            f'{checkpoint}: expected the checkpoint of a detector, with state_dict and '
            f'meta.dataset_meta ({error})'
        ) from error
    modules: dict[str, Any] = getattr(state, '_metadata', {})
    header[MODULE_METADATA] = json.dumps(modules)
    activation = modules.get('backbone.tower', {}).get(RECORD)
    if activation is not None:
        header |= header_record(activation)
    rounded = {
        key: value.to(getattr(torch, dtype)) if value.is_floating_point() else value
        for key, value in state.items()
    }
    check_finite(rounded, f'{checkpoint} in {dtype}')
    with atomic_write(path, durable=True) as part:
        part.write_bytes(safetensors_bytes(rounded, header))
    return sum(value.numel() for value in rounded.values())


def export_folder(
    checkpoint: str | Path,
    folder: str | Path,
    dtype: str = 'float32',
    config: str | Path | None = None,
) -> int:
    """Write a folder that is ready for the Hugging Face hub and needs no other file.

    It has the weights, the config, the card, and in `tower/` the CLIP of the backbone with its
    text tower, which new class names need; a file of class embeddings is copied.

    Args:
        checkpoint: Checkpoint of a detector's training.
        folder: Output folder; an earlier export is replaced, but a card that was edited stays.
        dtype: As in `export_detector`.
        config: Config of the detector; by default that in the checkpoint.

    Returns:
        Number of parameters and statistics in the file of the weights.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: As in `export_detector`; there is no config; or the folder has other files.
    """
    folder = Path(folder)
    content = read_training_checkpoint(checkpoint)
    cfg = _config_of(content) if config is None else Config.fromfile(config)
    if cfg is None:
        raise ValueError(f'{checkpoint}: has no config in it: give the config of the detector')
    known = {WEIGHTS, CONFIG, TOWER, CARD_NAME, NEW_CARD_NAME}
    found = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    if other := sorted(name for name in found - known if not name.startswith('embeddings.')):
        raise ValueError(
            f'{folder}: would be replaced, but has other files: {", ".join(other[:5])}'
        )
    # The lines that follow change the config; the card tells what it was.
    card = _card(content, checkpoint, cfg, folder.name, (CONFIG, WEIGHTS), folder.name)
    counts = []

    def write(unfinished: Path) -> None:
        counts.append(_write_weights(content, checkpoint, unfinished / WEIGHTS, dtype))
        _write_tower(content['state_dict'], cfg, unfinished)
        for key in ('load_from', 'resume', 'work_dir'):
            cfg.pop(key, None)
        cfg.dump(unfinished / CONFIG)

    replace_folder(folder, write, card)
    return counts[0]


def _write_tower(state: Mapping[str, Any], cfg: Config, folder: Path) -> None:
    """Write the CLIP and the class embeddings, and have the config name these."""
    tower = cfg.model.backbone.get('tower')
    if tower is None:
        return
    source = find_source(tower.model, tower.get('checkpoint'))
    if source.checkpoint is not None:
        visual = {
            key.removeprefix(_TOWER_KEYS): value
            for key, value in state.items()
            if key.startswith(f'{_TOWER_KEYS}visual.')
        }
        export_tower(visual, source, folder / TOWER)
        tower.update(model=f'local-dir:{_HERE}/{TOWER}', checkpoint=None)
    head = cfg.model.get('roi_head', {}).get('bbox_head', {})
    classifier = head.get('cls_predictor_cfg') or {}
    if classifier.get('embeddings'):
        path = Path(classifier['embeddings'])
        shutil.copyfile(path, folder / f'embeddings{path.suffix}')
        classifier['embeddings'] = f'{_HERE}/embeddings{path.suffix}'


def _config_of(content: Mapping[str, Any]) -> Config | None:
    """The config that mmengine wrote into a checkpoint, if any."""
    text = (content.get('meta') or {}).get('cfg')
    return Config.fromstring(text, '.py') if isinstance(text, str) and text else None


def _base_of(cfg: Config) -> BaseWeights:
    """What is known of the weights of the backbone's tower."""
    tower = cfg.model.backbone.get('tower')
    if tower is None:
        return BaseWeights(str(cfg.model.backbone.get('type')))
    try:
        return base_weights(find_source(tower.model, tower.get('checkpoint')))
    except (FileNotFoundError, ValueError):  # it lies elsewhere by now
        return BaseWeights(tower.model.rsplit('/', 1)[-1])


def _card(
    content: Mapping[str, Any],
    checkpoint: str | Path,
    cfg: Config | None,
    name: str,
    files: tuple[str, str],
    folder: str = '.',
) -> ModelCard:
    """The card; names of files only, for paths are private."""
    meta = content['meta']
    classes, base = (meta['dataset_meta'].get(key) or () for key in ('classes', 'base_classes'))
    facts: dict[str, object] = {
        'classes of the training': f'{len(base)} with boxes, {len(classes) - len(base)} novel'
        if base
        else len(classes),
        'checkpoint': Path(checkpoint).name,
    }
    known = BaseWeights('not told by the checkpoint')
    if cfg is not None:
        known = _base_of(cfg)
        dataset = cfg.train_dataloader.dataset
        while 'dataset' in dataset:
            dataset = dataset.dataset
        file = Path(str(dataset.get('ann_file') or '')).name
        facts['recipe'] = f'{cfg.model.type}, {meta.get("epoch")} epochs, {meta.get("iter")} steps'
        facts['training data'] = ', '.join(filter(None, [str(dataset.get('type')), file]))
    if experiment := meta.get('experiment_name'):
        facts['experiment'] = experiment
    paths = ', '.join(f"folder + '/{file}'" for file in files)
    return ModelCard(
        title=f'{name}, open-vocabulary detector',
        summary=(
            'An F-ViT: a detector for any class names on the frozen image tower of a CLIP, trained '
            'with clipself_mm ([CLIPSelf](https://arxiv.org/abs/2310.01403)).'
        ),
        library='clipself_mm',
        task='zero-shot-object-detection',
        tags=('object-detection', 'open-vocabulary', 'clipself', 'mmdetection'),
        base=known,
        code=(
            'from clipself_mm import OpenVocabDetector\n\n'
            f"folder = '{folder}'  # this folder\n"
            f'detector = OpenVocabDetector({paths})\n'
            "# (found,) = detector('photo.jpg', texts='red star. blue ring')"
        ),
        facts=facts,
        measured=_measured(Path(checkpoint), meta),
    )


def _measured(checkpoint: Path, meta: Mapping[str, Any]) -> Measured | None:
    """The validation of a checkpoint in the logs beside it; None without one."""
    step = meta.get('epoch') if 'epoch' in checkpoint.stem else meta.get('iter')
    for log in sorted(checkpoint.parent.glob('*/vis_data/scalars.json'), reverse=True):
        for line in reversed(log.read_text(encoding='utf-8').splitlines()):
            entry = json.loads(line)
            if 'lr' not in entry and entry.get('step') == step:
                metrics = {
                    key: value
                    for key, value in entry.items()
                    # pycocotools gives -1 for what has no boxes.
                    if '/' in key and isinstance(value, int | float) and value != -1
                }
                if metrics:
                    return Measured(metrics, f'the validation of the run, at step {step}')
    return None
