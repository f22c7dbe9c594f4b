"""Export a text tower as ONNX: token ids in, unit embeddings out.

ONNX has no operator for the tokenizer. The file has what one needs as metadata: the merges of the
byte pair encoding, the length of the context and the prompts; `examples/onnx_detect.py` has the
encoding itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import open_clip
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..prompts import PROMPT_TEMPLATES
from ..text_tower import TextTower
from .onnx_file import open_onnx, write_onnx

TEXT_TOLERANCE = 1e-4
"""Largest accepted difference of unit embeddings."""


class UnitText(nn.Module):
    """A text tower with L2-normalised output."""

    def __init__(self, tower: TextTower) -> None:
        super().__init__()
        self.tower = tower

    def forward(self, tokens: Tensor) -> Tensor:
        """Token ids of shape (T, context) to unit embeddings of shape (T, D)."""
        return F.normalize(self.tower.encode_text(tokens), dim=-1)


def export_text(tower: TextTower, file: Path, prompts: Sequence[str] = PROMPT_TEMPLATES) -> Path:
    """Write a text tower.

    The graph has the input ``tokens``, int64 of shape (T, context), and the output ``embeddings``,
    unit vectors of shape (T, D). The metadata, as JSON: ``merges`` (pairs of the byte pair
    encoding, in the order of their ids), ``context`` and ``prompts``.

    Args:
        tower: A text tower with OpenAI's tokenizer.
        file: Output ``.onnx`` file (written atomically).
        prompts: Templates of the class embeddings, see `expand_prompts`.

    Returns:
        ``file``.

    Raises:
        ValueError: The tokenizer is another one.
    """
    tokenizer = tower.tokenizer
    if not isinstance(tokenizer, open_clip.SimpleTokenizer):
        raise ValueError(
            f'{file}: the tokenizer of {tower.source.model} is a {type(tokenizer).__name__}, '
            "expected that of OpenAI's CLIP: use a file of class embeddings "
            '(tools/make_text_embeddings.py) instead of a text tower'
        )
    tokens = tokenizer(['a red star', 'two blue rings'])
    return write_onnx(
        UnitText(tower),
        {'tokens': tokens},
        ['embeddings'],
        file,
        axes={'tokens': {0: 'T'}, 'embeddings': {0: 'T'}},
        metadata={
            'merges': [' '.join(pair) for pair in tokenizer.bpe_ranks],
            'context': tokens.shape[1],
            'prompts': list(prompts),
        },
    )


@torch.no_grad()
def compare_text(tower: TextTower, file: Path) -> float:
    """Largest difference of the unit embeddings of three prompts between tower and file.

    Raises:
        ModuleNotFoundError: onnxruntime is not installed.
    """
    tokens = tower.tokenizer(['a photo of a red star.', 'ring', 'a dog on the left of two cats'])
    (found,) = open_onnx(file).run(None, {'tokens': tokens.numpy()})
    return float((torch.from_numpy(found) - UnitText(tower)(tokens)).abs().max())
