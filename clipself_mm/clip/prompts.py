"""Class names to prompts, and prompt embeddings to class embeddings (as in ViLD)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from string import Formatter

import torch
import torch.nn.functional as F
from torch import Tensor

from clipself_mm.io.text_files import decode_text, parse_json, require_file

_TEMPLATE_FILE = Path(__file__).with_name('prompt_templates.json')

#: The 63 prompts of ViLD: `{}` is the class name, `{article}` is "a" or "an".
PROMPT_TEMPLATES: tuple[str, ...] = tuple(
    json.loads(_TEMPLATE_FILE.read_text(encoding='utf-8'))['templates']
)


def read_templates(path: str | Path) -> tuple[str, ...]:
    """Read a prompt set.

    Args:
        path: A JSON file with a list of templates, or an object with that list under `templates`;
            or a `.txt` file with one template per line.

    Returns:
        The templates in file order.

    Raises:
        FileNotFoundError, IsADirectoryError: There is no such file.
        ValueError: The file or a template is not valid.
    """
    path = Path(path)
    require_file(path, 'a .json or .txt file of prompts')
    if path.suffix not in ('.json', '.txt'):
        raise ValueError(f'{path}: expected prompts as .json or .txt, found {path.suffix!r}')
    try:
        content = path.read_bytes()
        templates: object
        if path.suffix == '.txt':
            templates = [line.strip() for line in decode_text(content, path).splitlines()]
            templates = [line for line in templates if line]
        else:
            found = parse_json(content, path)
            templates = found.get('templates') if isinstance(found, dict) else found
        return check_templates(templates)
    except ValueError as error:
        raise ValueError(f'prompts {path}: {error}') from error


def check_templates(templates: object) -> tuple[str, ...]:
    """Check prompt templates.

    Args:
        templates: Sequence of sentences with the field `{}` once and, optionally, `{article}`.

    Returns:
        The templates.

    Raises:
        ValueError: The sequence is empty or a template has other fields.
    """
    if isinstance(templates, str) or not isinstance(templates, Sequence) or not templates:
        raise ValueError(f'expected a list of templates, got {templates!r:.80}')
    for template in templates:
        fields = _fields(template)
        if fields.count('') != 1 or not set(fields) <= {'', 'article'}:
            raise ValueError(
                'expected templates with {} once for the class and, optionally, {article}, '
                f'got {template!r}'
            )
    return tuple(templates)


def _fields(template: object) -> list[str]:
    if not isinstance(template, str):
        return []
    try:
        return [field for _, field, _, _ in Formatter().parse(template) if field is not None]
    except ValueError:  # a single brace
        return []


def expand_prompts(class_name: str, templates: Sequence[str] = PROMPT_TEMPLATES) -> list[str]:
    """The prompts of one class.

    Underscores become spaces, "/" becomes " or ", letters become lower case, trailing dots are
    removed. The article depends on the first character of the name as given, so that an
    upper-case vowel gets "a". Prompts that start with the letter "a" or with "the" get the prefix
    "This is ".

    Args:
        class_name: Name of a class as its data set spells it.
        templates: Sentences with the fields `{}` and, optionally, `{article}`.

    Returns:
        One prompt per template.
    """
    if not class_name:
        raise ValueError(f'a class name is empty: {class_name!r}')
    article = 'an' if class_name[0] in 'aeiou' else 'a'
    name = class_name.replace('_', ' ').replace('/', ' or ').lower().rstrip('.')
    prompts = (template.format(name, article=article) for template in templates)
    return [f'This is {text}' if text.startswith(('a', 'the')) else text for text in prompts]


def average_prompts(prompt_embeddings: Tensor) -> Tensor:
    """One unit vector per class: the normalised mean of its normalised prompt embeddings.

    Args:
        prompt_embeddings: Text features of P prompts of K classes, not normalised, shape
            (K, P, D).

    Returns:
        Unit vectors, shape (K, D).
    """
    if prompt_embeddings.ndim != 3:
        raise ValueError(
            f'expected prompt embeddings of shape (K, P, D), got {tuple(prompt_embeddings.shape)}'
        )
    return F.normalize(F.normalize(prompt_embeddings, dim=-1).mean(dim=1), dim=-1)


def average_names(name_embeddings: Tensor, counts: Sequence[int]) -> Tensor:
    """One unit vector per class: the normalised mean of the embeddings of its names.

    Args:
        name_embeddings: Unit vectors of all names, class after class, shape (sum of counts, D).
        counts: Number of names per class, K numbers of at least 1.

    Returns:
        Unit vectors, shape (K, D); the vector of a class with one name is not changed.
    """
    if sum(counts) != len(name_embeddings) or min(counts) < 1:
        raise ValueError(f'{len(name_embeddings)} embeddings of names do not split into {counts}')
    return torch.stack(
        [
            names[0] if len(names) == 1 else F.normalize(names.mean(dim=0), dim=0)
            for names in name_embeddings.split(list(counts))
        ]
    )
