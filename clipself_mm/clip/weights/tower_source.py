"""Find a CLIP by name, folder or repository: its configuration and its weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
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

from clipself_mm.io.text_files import read_local_json

from .config_checks import check_config, check_normalisation
from .hugging_face_config import OtherModelError, config_from_hugging_face
from .hugging_face_names import ADAPTER
from .weight_shards import INDEX_ENDING

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
"""RGB mean and standard deviation of the inputs of OpenAI's CLIP, in 0-1 units."""

CONFIG_NAME = 'open_clip_config.json'
WEIGHTS_NAME = 'open_clip_model.safetensors'
WEIGHTS_NAMES: tuple[str, ...] = (WEIGHTS_NAME, 'open_clip_pytorch_model.bin')
HF_CONFIG_NAME = 'config.json'
HF_PREPROCESS_NAME = 'preprocessor_config.json'
HF_WEIGHTS_NAME = 'model.safetensors'
_HF_INDICES = {
    f'{HF_WEIGHTS_NAME}{INDEX_ENDING}': 'model-*-of-*.safetensors',
    f'pytorch_model.bin{INDEX_ENDING}': 'pytorch_model-*-of-*.bin',
}
"""Indices of weights in several files, and the pattern of these."""
HF_WEIGHTS_NAMES: tuple[str, ...] = (HF_WEIGHTS_NAME, 'pytorch_model.bin', *_HF_INDICES)
_HF_ADAPTER_NAMES = ('adapter_model.safetensors', 'adapter_model.bin', 'adapter_config.json')
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
"""Files of a Hugging Face tokenizer."""


@dataclass(frozen=True)
class TowerSource:
    """Everything needed to build the towers of a CLIP and to export them.

    Attributes:
        model: open_clip's name, or ``local-dir:FOLDER``.
        config: open_clip's model configuration (``embed_dim``, ``vision_cfg``, ``text_cfg``, ...).
        checkpoint: File with the weights of both towers, or None for random weights.
        preprocess: open_clip's ``preprocess_cfg``: ``mean`` and ``std`` in 0-1 units, and more.
        tag: The pretrained tag of the checkpoint, if it is on open_clip's list.
    """

    model: str
    config: dict[str, Any] = field(repr=False)
    checkpoint: str | None = None
    preprocess: dict[str, Any] = field(
        default_factory=lambda: {'mean': list(CLIP_MEAN), 'std': list(CLIP_STD)}, repr=False
    )
    tag: str | None = None

    @property
    def quick_gelu(self) -> bool:
        """Whether the activation is QuickGELU, else GELU."""
        return bool(self.config.get('quick_gelu', False))

    @property
    def config_name(self) -> str:
        """The file of the configuration; of a named model its name."""
        folder = Path(self.model.removeprefix('local-dir:'))
        found = (folder / name for name in (CONFIG_NAME, HF_CONFIG_NAME))
        return next((str(path) for path in found if path.is_file()), self.model)

    def require_checkpoint(self) -> str:
        """The weights file; an error if there is none."""
        if self.checkpoint is None:
            raise ValueError(f'{self.model} needs a checkpoint, found random weights')
        return self.checkpoint


def find_source(model: str, checkpoint: str | None = None) -> TowerSource:
    """Resolve a model name and a weights file into a source.

    Args:
        model: An open_clip name (``EVA02-B-16``); ``local-dir:PATH``, a folder of open_clip or of
            transformers' CLIP; ``hf-hub:ORGANISATION/NAME``, such a folder on the Hugging Face hub
            or in its cache; ``pkg:PACKAGE/FOLDER``, such a folder inside an installed package
            (``pkg:clipself_mm.shapes/tiny_clip``).
        checkpoint: File with the weights, or a pretrained tag of a named model (``openai``,
            ``laion2b_s34b_b88k``). It takes precedence over the weights in a folder.

    Raises:
        FileNotFoundError, IsADirectoryError: The folder, its configuration or the checkpoint is
            missing and cannot be downloaded.
        ValueError: The name is unknown, the configuration is not valid, or the weights of the tag
            need the variant of the model with the other activation.
    """
    schema, _, rest = model.partition(':')
    if schema == 'pkg':
        return _source_of_folder(package_path(rest), checkpoint)
    if schema == 'local-dir':
        return _source_of_folder(Path(rest), checkpoint)
    if schema == 'hf-hub':
        return _source_of_folder(_hub_folder(rest), checkpoint)
    config = open_clip.get_model_config(model)
    if config is None:
        near = [name for name in open_clip.list_models() if name[:5].lower() == model[:5].lower()]
        raise ValueError(f'open_clip has no model {model!r}; similar names: {", ".join(near)}')
    return _source_of_name(model, config, checkpoint)


def _source_of_name(model: str, config: dict, checkpoint: str | None) -> TowerSource:
    tags = list_pretrained_tags_by_model(model)
    settings = {tag: get_pretrained_cfg(model, tag) for tag in tags}
    if checkpoint is not None and checkpoint in settings:
        tag = checkpoint
        expected = settings[tag].get('quick_gelu', False)
        other = f'{model}-quickgelu' if expected else model.removesuffix('-quickgelu')
        # For roberta-ViT-B-32, which has one variant only, open_clip's tag lacks `quick_gelu`.
        if expected != config.get('quick_gelu', False) and other != model:
            raise ValueError(
                f'{tag} of {model} was trained with the other activation: use the model {other!r}'
            )
        preprocess = _normalisation(settings[tag])
        return TowerSource(model, config, _download(model, tag, settings[tag]), preprocess, tag)
    if checkpoint is not None:
        _require(checkpoint, model, settings)
    # The tag of a file is unknown. The tags of a model have the same normalisation, except one of
    # ViT-L-14, so use the first.
    preprocess = _normalisation(settings[tags[0]] if tags else {})
    return TowerSource(model, config, checkpoint, preprocess)


def _normalisation(settings: dict) -> dict[str, Any]:
    return {
        'mean': list(settings.get('mean', CLIP_MEAN)),
        'std': list(settings.get('std', CLIP_STD)),
    }


def _download_url(settings: dict) -> str:
    hub = settings.get('hf_hub', '').strip('/')
    return settings.get('url') or f'https://huggingface.co/{hub}'


def _require(checkpoint: str, model: str, settings: dict[str, dict]) -> None:
    if Path(checkpoint).is_file():
        return
    if Path(checkpoint).is_dir():
        raise IsADirectoryError(
            f'{checkpoint}: expected a checkpoint file, it is a folder; a folder with a CLIP is '
            f'given as model="local-dir:{checkpoint}", without checkpoint'
        )
    urls = [f'{tag} ({_download_url(values)})' for tag, values in settings.items()]
    published = f'; pretrained tags: {", ".join(urls)}' if urls else ''
    raise FileNotFoundError(
        f'{checkpoint}: no such file, nor a pretrained tag of {model}; download the weights to '
        f'this path (sources: docs/data.md){published}'
    )


def _download(model: str, tag: str, settings: dict) -> str:
    return _fetched(
        lambda: download_pretrained(settings),
        f'{tag} of {model}: not in the cache and the download failed; download '
        f'{_download_url(settings)} on a machine with a network and give its path as checkpoint',
    )


def package_path(name: str) -> Path:
    """Path of a file or folder inside an installed package.

    Args:
        name: `PACKAGE/PATH`.

    Raises:
        FileNotFoundError: There is no such package.
    """
    package, _, path = name.partition('/')
    try:
        return Path(str(files(package) / path))
    except (ImportError, TypeError, ValueError) as error:
        raise FileNotFoundError(
            f'pkg:{name}: expected PACKAGE/FOLDER or PACKAGE/FILE of an installed package ({error})'
        ) from error


def _hub_folder(repository: str) -> Path:
    from huggingface_hub import snapshot_download

    advice = (
        f'hf-hub:{repository}: not in the cache and the download failed; download '
        f'https://huggingface.co/{repository} on a machine with a network and give it as '
        '"local-dir:FOLDER"'
    )

    def fetch(*patterns: str) -> Path:
        return Path(
            _fetched(lambda: snapshot_download(repository, allow_patterns=[*patterns]), advice)
        )

    folder = fetch('*.json', '*.txt', '*.model')
    # A repository may have both layouts; open_clip's takes precedence.
    for name in WEIGHTS_NAMES if (folder / CONFIG_NAME).is_file() else HF_WEIGHTS_NAMES:
        if (fetch(name) / name).is_file():
            if name in _HF_INDICES:
                fetch(_HF_INDICES[name])
            break
    return folder


def _fetched(fetch: Callable[[], str], advice: str) -> str:
    try:
        return fetch()
    except Exception as error:  # hub client, urllib and sockets raise different types
        reason = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
        raise FileNotFoundError(f'{advice} ({reason})') from error


def _source_of_folder(folder: Path, checkpoint: str | None) -> TowerSource:
    model = f'local-dir:{folder}'
    _refuse_adapter(folder, checkpoint)
    if (folder / CONFIG_NAME).exists():
        path, names = folder / CONFIG_NAME, WEIGHTS_NAMES
    elif (folder / HF_CONFIG_NAME).exists():
        path, names = folder / HF_CONFIG_NAME, HF_WEIGHTS_NAMES
    else:
        raise FileNotFoundError(
            f'{folder / CONFIG_NAME}: no such file; expected a CLIP folder with this file or '
            f"with the {HF_CONFIG_NAME} of transformers' CLIP"
        )
    content, is_open_clip = _read_json(path), path.name == CONFIG_NAME
    with invalid_config(path):
        config = dict(content['model_cfg']) if is_open_clip else config_from_hugging_face(content)
    if checkpoint is None:
        found = [str(folder / name) for name in names if (folder / name).exists()]
        if not found:
            raise FileNotFoundError(
                f'{folder / names[0]}: no such file; expected the weights of {model}'
            )
        checkpoint = found[0]
    else:
        _require(checkpoint, model, {})
    with invalid_config(path):
        check_config(config, Path(checkpoint))
    if not is_open_clip:
        path = folder / HF_PREPROCESS_NAME
        content = dict(preprocess_cfg=_read_json(path)) if path.exists() else {}
    with invalid_config(path):
        given = dict(content.get('preprocess_cfg', {}))
        if not is_open_clip:
            names_of = {'image_mean': 'mean', 'image_std': 'std'}
            given = {new: given[old] for old, new in names_of.items() if old in given}
        preprocess = {'mean': list(CLIP_MEAN), 'std': list(CLIP_STD)} | given
        check_normalisation(preprocess)
    return TowerSource(model, config, checkpoint, preprocess)


@contextmanager
def invalid_config(path: str | Path) -> Iterator[None]:
    """One ValueError with the file for any error of a block that uses a configuration.

    Args:
        path: The file, or the name of the model.
    """
    try:
        yield
    except (NotImplementedError, ImportError, OSError):
        raise
    except OtherModelError as error:
        raise ValueError(f'{path}: {error}') from error
    except Exception as error:  # open_clip and timm raise many kinds of errors
        raise ValueError(f'{path}: not a valid configuration of a CLIP: {error!r}') from error


def _refuse_adapter(folder: Path, checkpoint: str | None) -> None:
    if checkpoint is not None:
        if Path(checkpoint).name in _HF_ADAPTER_NAMES:
            raise ValueError(f'{checkpoint}: is {ADAPTER}')
        return
    weights, adapters = (
        [folder / name for name in names if (folder / name).is_file()]
        for names in ((*WEIGHTS_NAMES, *HF_WEIGHTS_NAMES), _HF_ADAPTER_NAMES)
    )
    if adapters and not weights:
        raise ValueError(f'{adapters[0]}: is {ADAPTER}')


def _read_json(path: Path) -> dict:
    return read_local_json(path, 'a configuration of a CLIP')
