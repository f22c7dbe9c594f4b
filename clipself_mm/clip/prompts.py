"""From class names to prompts, and from prompt embeddings to class embeddings (ViLD's recipe)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from string import Formatter

import torch
import torch.nn.functional as F
from torch import Tensor

_TEMPLATE_FILE = Path(__file__).with_name('prompt_templates.json')

#: The 63 prompts of ViLD: `{}` is the class name, `{article}` is "a" or "an".
PROMPT_TEMPLATES: tuple[str, ...] = tuple(
    json.loads(_TEMPLATE_FILE.read_text(encoding='utf-8'))['templates']
)


def read_templates(path: str | Path) -> tuple[str, ...]:
    """Read a prompt set.

    Args:
        path: A json file with a list of templates, or an object with that list under `templates`;
            or a `.txt` file with a template a line.

    Returns:
        The templates in their order.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is neither, or `check_templates` refuses a template; names the file.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'{path}: no such file; expected a .json or .txt file of prompts')
    if path.suffix not in ('.json', '.txt'):
        raise ValueError(f'{path}: prompts are a .json or .txt file, not {path.suffix!r}')
    try:
        text = path.read_text(encoding='utf-8-sig')
        if path.suffix == '.txt':
            templates = [line.strip() for line in text.splitlines() if line.strip()]
        else:
            content = json.loads(text)
            templates = content.get('templates') if isinstance(content, dict) else content
        return check_templates(templates)
    except ValueError as error:
        raise ValueError(f'prompts {path}: {error}') from error


def check_templates(templates: Sequence[str]) -> tuple[str, ...]:
    """Refuse what cannot become prompts.

    Args:
        templates: Sentences with the place `{}` once and, optionally, `{article}`.

    Returns:
        The templates.

    Raises:
        ValueError: There is none, or one has not these places.
    """
    if isinstance(templates, str) or not isinstance(templates, Sequence) or not templates:
        raise ValueError(f'expected a list of templates, got {templates!r:.80}')
    for template in templates:
        places = _places(template)
        if places.count('') != 1 or not set(places) <= {'', 'article'}:
            raise ValueError(
                f'expected templates with {{}} once for the class and at most {{article}} beside '
                f'it, got {template!r}'
            )
    return tuple(templates)


def _places(template: object) -> list[str]:
    if not isinstance(template, str):
        return []
    try:
        return [place for _, place, _, _ in Formatter().parse(template) if place is not None]
    except ValueError:  # a single brace
        return []


def expand_prompts(class_name: str, templates: Sequence[str] = PROMPT_TEMPLATES) -> list[str]:
    """The sentences that stand for one class.

    Underscores become spaces, "/" becomes " or ", letters become lower case, trailing dots go.
    The article follows the first character of the name as given, so that an upper-case vowel
    gets "a". "This is " is put before a prompt that starts with "a" or "the".

    Args:
        class_name: Name of a class as its data set spells it.
        templates: Sentences with the places `{}` and, optionally, `{article}`.

    Returns:
        One prompt for each template, in their order.

    Raises:
        ValueError: The name is empty.
    """
    if not class_name:
        raise ValueError(f'a class name is empty: {class_name!r}')
    article = 'an' if class_name[0] in 'aeiou' else 'a'
    name = class_name.replace('_', ' ').replace('/', ' or ').lower().rstrip('.')
    prompts = (template.format(name, article=article) for template in templates)
    return [f'This is {text}' if text.startswith(('a', 'the')) else text for text in prompts]


def average_prompts(prompt_embeddings: Tensor) -> Tensor:
    """One unit vector a class: the normalised mean of its normalised prompt embeddings.

    Args:
        prompt_embeddings: Text features of P prompts of K classes, shape (K, P, D), of any
            length.

    Returns:
        Shape (K, D), rows of length 1.

    Raises:
        ValueError: The input has another number of dimensions.
    """
    if prompt_embeddings.ndim != 3:
        raise ValueError(
            f'expected prompt embeddings of shape (K, P, D), got {tuple(prompt_embeddings.shape)}'
        )
    return F.normalize(F.normalize(prompt_embeddings, dim=-1).mean(dim=1), dim=-1)


def average_names(name_embeddings: Tensor, counts: Sequence[int]) -> Tensor:
    """One unit vector a class: the normalised mean of the embeddings of its names.

    Args:
        name_embeddings: Unit vectors of all names, class after class, shape (sum of counts, D).
        counts: How many names each of the K classes has, one or more.

    Returns:
        Shape (K, D), rows of length 1; a class with one name keeps its vector as it is.

    Raises:
        ValueError: The counts do not add up to the number of names, or one is below 1.
    """
    if sum(counts) != len(name_embeddings) or min(counts) < 1:
        raise ValueError(f'{len(name_embeddings)} embeddings of names do not split into {counts}')
    return torch.stack(
        [
            own[0] if len(own) == 1 else F.normalize(own.mean(dim=0), dim=0)
            for own in name_embeddings.split(list(counts))
        ]
    )
