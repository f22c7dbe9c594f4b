"""Warnings about class names that a text tower cannot tell apart or reads in part."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import cache

import torch.nn.functional as F
from mmengine.logging import print_log
from torch import Tensor

_EQUAL = 1 - 1e-6
"""Cosine from which on two embeddings are equal."""
_MAX_LISTED = 5
_MAX_LETTERS = 60
_ROWS = 1024
"""Rows of the similarity matrix that are computed at once."""


def find_cut(
    tokenizer: Callable[..., Tensor], prompts: Sequence[str], tokens: Tensor
) -> list[bool]:
    """Whether prompts are longer than the text tower's context, which cuts them.

    Args:
        tokenizer: A tokenizer of open_clip.
        prompts: T prompts.
        tokens: Their ids, shape (T, context).

    Returns:
        T values.
    """
    padding = tokenizer([''])[0, -1]
    full = tokens[:, -1] != padding
    if full.any():  # as long as the context, or cut
        candidates = [prompts[index] for index in full.nonzero().flatten().tolist()]
        full[full.clone()] = tokenizer(candidates, tokens.shape[1] + 1)[:, -1] != padding
    return full.tolist()


def warn_of_cut(names: Sequence[str], cut: Sequence[bool], context: int) -> None:
    """Log the names whose prompts are cut.

    Args:
        names: K names.
        cut: As from `find_cut`, for P prompts of each name, name after name.
        context: Tokens that the text tower reads.
    """
    prompts = len(cut) // len(names)
    counts = [sum(cut[i * prompts : (i + 1) * prompts]) for i in range(len(names))]
    found = [
        f'{_short(name)} ({count} of {prompts})'
        for name, count in zip(names, counts, strict=True)
        if count
    ]
    if found:
        _warn_once(
            f'class names are cut, their prompts are longer than the {context} tokens of the text '
            f'tower: {_listed(found)}'
        )


def warn_of_equal(names: Sequence[str], embeddings: Tensor) -> None:
    """Log the names whose embeddings are equal: their scores are.

    Args:
        names: K names.
        embeddings: Shape (K, ...).
    """
    rows = F.normalize(embeddings.detach().flatten(1).float().cpu(), dim=-1)
    found = []
    for start in range(0, len(rows), _ROWS):
        equal = (rows[start : start + _ROWS] @ rows.T > _EQUAL).triu(start + 1)
        found += [(names[start + row], names[column]) for row, column in equal.nonzero().tolist()]
    pairs = [f'{_short(one)} and {_short(other)}' for one, other in found if one != other]
    if pairs:
        _warn_once(f'class names with equal embeddings, so with equal scores: {_listed(pairs)}')


def _short(name: str) -> str:
    return repr(name if len(name) <= _MAX_LETTERS else f'{name[:40]} ... {name[-15:]}')


def _listed(found: Sequence[str]) -> str:
    more = f', ... ({len(found)} in all)' if len(found) > _MAX_LISTED else ''
    return ', '.join(found[:_MAX_LISTED]) + more


@cache
def _warn_once(text: str) -> None:
    """The same classes may be encoded again and again."""
    print_log(text, logger='current', level=logging.WARNING)
