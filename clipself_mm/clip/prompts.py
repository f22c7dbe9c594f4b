"""From class names to prompts, and from prompt embeddings to class embeddings (ViLD's recipe)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import torch.nn.functional as F
from torch import Tensor

_TEMPLATE_FILE = Path(__file__).with_name('prompt_templates.json')

#: The 63 prompts of ViLD: `{}` is the class name, `{article}` is "a" or "an".
PROMPT_TEMPLATES: tuple[str, ...] = tuple(
    json.loads(_TEMPLATE_FILE.read_text(encoding='utf-8'))['templates']
)


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
        raise ValueError('a class name is empty')
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
