"""Which CLIP is meant: a name, a folder or a repository; its configuration and its weights."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import open_clip
from open_clip.pretrained import (
    download_pretrained,
    get_pretrained_cfg,
    list_pretrained_tags_by_model,
)

from .hugging_face_config import config_from_hugging_face

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
"""RGB mean and standard deviation of CLIP's training images, in 0-1 units."""

CONFIG_NAME = 'open_clip_config.json'
WEIGHTS_NAME = 'open_clip_model.safetensors'
WEIGHTS_NAMES = (WEIGHTS_NAME, 'open_clip_pytorch_model.bin')
HF_CONFIG_NAME = 'config.json'
HF_PREPROCESS_NAME = 'preprocessor_config.json'
HF_WEIGHTS_NAME = 'model.safetensors'
HF_WEIGHTS_NAMES = (HF_WEIGHTS_NAME, 'pytorch_model.bin')
TOKENIZER_NAMES = (
    'tokenizer.json',
    'tokenizer_config.json',
    'special_tokens_map.json',
    'added_tokens.json',
    'vocab.json',
    'vocab.txt',
    'merges.txt',
    'tokenizer.model',
    'spiece.model',
    'sentencepiece.bpe.model',
)
"""Files of a tokenizer of Hugging Face's."""


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
        model: One of an open_clip name (``EVA02-B-16``); ``local-dir:PATH``, a folder of open_clip
            or of transformers' CLIP; ``hf-hub:ORGANISATION/NAME``, such a folder on the Hugging
            Face hub or in its cache; ``pkg:PACKAGE/FOLDER``, such a folder inside an installed
            package (``pkg:clipself_mm.shapes/tiny_clip``).
        checkpoint: File with the weights, or a pretrained tag of a named model (``openai``,
            ``laion2b_s34b_b88k``). A folder brings its own; a file given here wins.

    Raises:
        FileNotFoundError: The folder, its configuration or the checkpoint is missing, or cannot be
            downloaded; says what to fetch and where to put it.
        ValueError: The name is unknown, the configuration is neither's, or the tag's weights are
            of the model's variant with the other activation.
    """
    schema, _, rest = model.partition(':')
    if schema == 'pkg':
        return _source_of_folder(_package_folder(rest), checkpoint)
    if schema == 'local-dir':
        return _source_of_folder(Path(rest), checkpoint)
    if schema == 'hf-hub':
        return _source_of_folder(_hub_folder(rest), checkpoint)
    config = open_clip.get_model_config(model)
    if config is None:
        near = [name for name in open_clip.list_models() if name[:5].lower() == model[:5].lower()]
        raise ValueError(f'open_clip knows no model {model!r}; similar names: {", ".join(near)}')
    return _source_of_name(model, config, checkpoint)


def _source_of_name(model: str, config: dict, checkpoint: str | None) -> TowerSource:
    tags = list_pretrained_tags_by_model(model)
    settings = {tag: get_pretrained_cfg(model, tag) for tag in tags}
    if checkpoint in settings:
        tag = checkpoint
        expected = settings[tag].get('quick_gelu', False)
        other = f'{model}-quickgelu' if expected else model.removesuffix('-quickgelu')
        # open_clip's list is silent on roberta-ViT-B-32, which has no other variant.
        if expected != config.get('quick_gelu', False) and other != model:
            raise ValueError(
                f'{tag} of {model} was trained with the other activation: name the model {other!r}'
            )
        preprocess = _normalisation(settings[tag])
        return TowerSource(model, config, _download(model, tag, settings[tag]), preprocess)
    if checkpoint is not None:
        _require(checkpoint, model, settings)
    # A file does not say which tag it is of; open_clip's tags of a model agree but for one of
    # ViT-L-14's, so the first speaks for all.
    preprocess = _normalisation(settings[tags[0]] if tags else {})
    return TowerSource(model, config, checkpoint, preprocess)


def _normalisation(settings: dict) -> dict[str, Any]:
    return {
        'mean': list(settings.get('mean', CLIP_MEAN)),
        'std': list(settings.get('std', CLIP_STD)),
    }


def _place(settings: dict) -> str:
    """Where a tag's weights are to be had."""
    hub = settings.get('hf_hub', '').strip('/')
    return settings.get('url') or f'https://huggingface.co/{hub}'


def _require(checkpoint: str, model: str, settings: dict[str, dict]) -> None:
    if Path(checkpoint).is_file():
        return
    places = [f'{tag} ({_place(values)})' for tag, values in settings.items()]
    published = f'; published are {", ".join(places)}' if places else ''
    raise FileNotFoundError(
        f'{checkpoint}: no such file, nor a pretrained tag of {model}; download its weights and '
        f'put them there (docs/data.md says where each published file comes from){published}'
    )


def _download(model: str, tag: str, settings: dict) -> str:
    return _fetched(
        lambda: download_pretrained(settings),
        f'{tag} of {model}: neither in the cache nor to be downloaded; fetch {_place(settings)} on '
        f'a machine with a network, and give the path of the weights as checkpoint',
    )


def _package_folder(name: str) -> Path:
    package, _, folder = name.partition('/')
    try:
        return Path(str(files(package) / folder))
    except (ImportError, TypeError, ValueError) as error:
        raise FileNotFoundError(
            f'pkg:{name}: expected PACKAGE/FOLDER of an installed package ({error})'
        ) from error


def _hub_folder(repository: str) -> Path:
    from huggingface_hub import snapshot_download

    where = (
        f'hf-hub:{repository}: neither in the cache nor to be downloaded; fetch '
        f'https://huggingface.co/{repository} on a machine with a network, and name the folder '
        '"local-dir:FOLDER"'
    )

    def fetch(*patterns: str) -> Path:
        return Path(
            _fetched(lambda: snapshot_download(repository, allow_patterns=[*patterns]), where)
        )

    folder = fetch('*.json', '*.txt', '*.model')
    # A repository may hold both layouts; open_clip's configuration goes before transformers'.
    for name in WEIGHTS_NAMES if (folder / CONFIG_NAME).is_file() else HF_WEIGHTS_NAMES:
        if (fetch(name) / name).is_file():
            break
    return folder


def _fetched(fetch: Callable[[], str], advice: str) -> str:
    try:
        return fetch()
    except Exception as error:  # the hub's client, urllib and sockets each have their own
        reason = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
        raise FileNotFoundError(f'{advice} ({reason})') from error


def _source_of_folder(folder: Path, checkpoint: str | None) -> TowerSource:
    model = f'local-dir:{folder}'
    if (folder / CONFIG_NAME).is_file():
        path, names, read = folder / CONFIG_NAME, WEIGHTS_NAMES, _read_open_clip
    elif (folder / HF_CONFIG_NAME).is_file():
        path, names, read = folder / HF_CONFIG_NAME, HF_WEIGHTS_NAMES, _read_hugging_face
    else:
        raise FileNotFoundError(
            f'{folder / CONFIG_NAME}: no such file; a CLIP folder has one beside its weights, or '
            f"the {HF_CONFIG_NAME} of transformers' CLIP"
        )
    try:
        config, preprocess = read(path)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f'{path}: not the configuration of a CLIP: {error!r}') from error
    if checkpoint is None:
        found = [str(folder / name) for name in names if (folder / name).is_file()]
        if not found:
            raise FileNotFoundError(
                f'{folder / names[0]}: no such file; expected the weights of {model}'
            )
        checkpoint = found[0]
    else:
        _require(checkpoint, model, {})
    normalisation = {'mean': list(CLIP_MEAN), 'std': list(CLIP_STD)}
    return TowerSource(model, config, checkpoint, normalisation | preprocess)


def _read_open_clip(path: Path) -> tuple[dict, dict]:
    content = json.loads(path.read_text(encoding='utf-8'))
    return dict(content['model_cfg']), dict(content.get('preprocess_cfg', {}))


def _read_hugging_face(path: Path) -> tuple[dict, dict]:
    config = config_from_hugging_face(json.loads(path.read_text(encoding='utf-8')))
    preprocess = path.with_name(HF_PREPROCESS_NAME)
    content = json.loads(preprocess.read_text(encoding='utf-8')) if preprocess.is_file() else {}
    names = {'image_mean': 'mean', 'image_std': 'std'}
    return config, {new: content[old] for old, new in names.items() if old in content}
