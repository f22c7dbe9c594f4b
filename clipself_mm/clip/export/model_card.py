"""Model cards: README.md of an exported folder, with the head that the Hugging Face hub reads."""

from __future__ import annotations

import hashlib
import json
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from open_clip.pretrained import get_pretrained_cfg

from ..weights.tower_source import TowerSource

CARD_NAME = 'README.md'
NEW_CARD_NAME = 'README.new.md'
"""A new card beside one that was edited by hand."""
UNKNOWN = 'unknown'
_MARK = '<!-- written by clipself_mm, checksum {} -->\n'
_OPENAI = 'https://github.com/openai/CLIP/blob/main/LICENSE'
_EVA = 'https://huggingface.co/QuanSun/EVA-CLIP'
_EVA_FILES = ('EVA01_CLIP_', 'EVA02_CLIP_')
_SIGLIP = 'https://huggingface.co/timm/ViT-B-16-SigLIP'


@dataclass(frozen=True)
class BaseWeights:
    """Weights that were refined.

    Attributes:
        name: For people.
        licence: Identifier of the hub, `UNKNOWN` if it is not known here.
        source: Where the licence is told; '' if that is not known.
        repository: Repository of the hub, if there is one.
    """

    name: str
    licence: str = UNKNOWN
    source: str = ''
    repository: str | None = None


def base_weights(source: TowerSource) -> BaseWeights:
    """What is known of the weights of a source; no licence is guessed.

    A folder tells its own licence in the head of its card, or in `origin` of its configuration.
    Other weights of a published architecture may be anybody's: a file is EVA-CLIP's by its name.
    """
    if source.model.startswith('local-dir:'):
        folder = Path(source.model.removeprefix('local-dir:'))
        head = read_head(folder / CARD_NAME)
        at = f'the card of {folder.name}' if head.get('license') else ''
        return BaseWeights(folder.name, head.get('license', UNKNOWN), at, head.get('base_model'))
    tag = f', {source.tag}' if source.tag else ''
    name = f'{source.model}{tag}'
    if tag == '' and source.checkpoint is not None:
        name = f'{source.model}, {Path(source.checkpoint).name}'
    known = get_pretrained_cfg(source.model, source.tag) if source.tag else {}
    repository = (known.get('hf_hub') or '').strip('/') or None
    if repository is not None and repository.count('/') != 1:
        repository = '/'.join(repository.split('/')[:2])
    if source.tag == 'openai':
        return BaseWeights(name, 'mit', _OPENAI, repository)
    file = Path(source.checkpoint or '').name
    if source.model.startswith('EVA') and (source.tag or file.startswith(_EVA_FILES)):
        return BaseWeights(name, 'mit', _EVA, repository or 'QuanSun/EVA-CLIP')
    if 'SigLIP' in source.model and source.tag:
        return BaseWeights(name, 'apache-2.0', _SIGLIP, repository)
    at = f'https://huggingface.co/{repository}' if repository else ''
    return BaseWeights(name, UNKNOWN, at, repository)


@dataclass(frozen=True)
class Measured:
    """Metrics of exactly the exported weights.

    Attributes:
        metrics: Name to value.
        by: The run and its config.
    """

    metrics: Mapping[str, float]
    by: str


@dataclass(frozen=True)
class ModelCard:
    """Content of a card.

    Attributes:
        title: Heading.
        summary: A few sentences of markdown.
        library: `library_name` of the head.
        task: `pipeline_tag` of the head.
        tags: Tags of the head.
        base: The weights that were refined.
        code: Python that loads the model from the folder that the card is in.
        facts: Rows of the table: recipe, data, config, ...
        measured: None if no measurement of these weights is at hand.
    """

    title: str
    summary: str
    library: str
    task: str
    tags: tuple[str, ...]
    base: BaseWeights
    code: str
    facts: Mapping[str, object] = field(default_factory=dict)
    measured: Measured | None = None

    def text(self) -> str:
        """The card as markdown, with a checksum in its last line."""
        head: dict[str, object] = {
            'license': self.base.licence,
            'library_name': self.library,
            'pipeline_tag': self.task,
            'tags': list(self.tags),
        }
        if self.base.repository:
            head['base_model'] = self.base.repository
        told = f' ([source]({self.base.source}))' if self.base.source.startswith('http') else ''
        if not told and self.base.source:
            told = f' (told by {self.base.source})'
        licence = self.base.licence
        if licence == UNKNOWN:
            licence = 'unknown here: find it out before publishing'
            told = f'; see {self.base.source}' if self.base.source else ''
        facts = {'base weights': self.base.name, 'their licence': licence + told, **self.facts}
        lines = [
            '---',
            *(f'{key}: {json.dumps(value)}' for key, value in head.items()),
            '---',
            f'\n# {self.title}\n',
            f'{self.summary}\n',
            f'```python\n{self.code.strip()}\n```\n',
            '| | |\n|---|---|',
            *(f'| {name} | {value} |' for name, value in facts.items()),
            '\n## Measured\n',
        ]
        if self.measured is None:
            lines.append('No measurement of these weights was at hand when the card was written.')
        else:
            rows = sorted(self.measured.metrics.items())
            lines += [
                f'By {self.measured.by}:\n\n| metric | value |\n|---|---|',
                *(f'| {name} | {value:.4g} |' for name, value in rows),
            ]
        body = '\n'.join([*lines, ''])
        return body + _MARK.format(_checksum(body))


def _checksum(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()[:16]


def is_untouched(text: str) -> bool:
    """Whether a card is as it was written."""
    body, _, last = text.rpartition('<!-- ')
    return bool(last) and '<!-- ' + last == _MARK.format(_checksum(body))


def read_head(path: Path) -> dict[str, str]:
    """`license` and `base_model` of a card's head, as far as they are there."""
    if not path.is_file():
        return {}
    head = re.match(r'---\n(.*?)\n---\n', path.read_text(encoding='utf-8'), re.DOTALL)
    row = r'^(license|base_model): *["\']?([^"\'\n]+?)["\']? *$'
    rows = re.findall(row, head[1] if head else '', re.MULTILINE)
    return dict(rows)


def write_card(card: ModelCard, path: Path, old: Path) -> None:
    """Write a card; one that was edited by hand stays, and the new one is laid beside it.

    Args:
        card: The new card.
        path: The file to write.
        old: The card that it follows, which may be the same file; it may not exist.
    """
    text = card.text()
    if old.is_file() and not is_untouched(kept := old.read_text(encoding='utf-8')):
        path.write_text(kept, encoding='utf-8')
        path = path.with_name(f'{path.stem}.new{path.suffix}')
        warnings.warn(f'{old}: is edited by hand and stays; see {path.name}', stacklevel=2)
    path.write_text(text, encoding='utf-8')


_TOWER_CODE = """
import open_clip

from clipself_mm import load_tower

name = 'local-dir:{name}'  # this folder; on the hub: hf-hub:ORGANISATION/NAME
tower = load_tower(name)  # dense features, heat maps of words
clip, _, preprocess = open_clip.create_model_and_transforms(name)
"""
_HUGGING_FACE_CODE = """
from transformers import CLIPModel

model = CLIPModel.from_pretrained('{name}')  # this folder; on the hub: ORGANISATION/NAME
"""


def tower_card(
    source: TowerSource,
    folder: Path,
    facts: Mapping[str, object] | None = None,
    measured: Measured | None = None,
    transformers: bool = False,
) -> ModelCard:
    """The card of an exported CLIP.

    Args:
        source: What the tower was built from.
        folder: The folder of the export.
        facts: Rows of the table.
        measured: Metrics of these weights, if any.
        transformers: Whether the folder is one of transformers, else of open_clip.
    """
    vision, text = source.config['vision_cfg'], 'that of the base weights'
    name = source.model.removeprefix('local-dir:').rstrip('/').rsplit('/', 1)[-1]
    return ModelCard(
        title=f'{name}, image tower for dense features',
        summary=(
            'A CLIP whose image tower was refined or converted by '
            'clipself_mm. [CLIPSelf](https://arxiv.org/abs/2310.01403) makes the dense features of '
            'a CLIP agree with its image embeddings, without labels.'
        ),
        library='transformers' if transformers else 'open_clip',
        task='zero-shot-image-classification',
        tags=('clip', 'clipself', 'open-vocabulary', 'dense-features'),
        base=base_weights(source),
        code=(_HUGGING_FACE_CODE if transformers else _TOWER_CODE).format(name=folder.name),
        facts={
            'architecture': name,
            'input of the base weights': f'{vision.get("image_size", "?")} px',
            'text tower': text,
            **(facts or {}),
        },
        measured=measured,
    )
