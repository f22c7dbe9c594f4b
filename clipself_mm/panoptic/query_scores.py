"""Query scores fused from a mask generator and CLIP, as in ODISE.

Pure functions (paper, section 4.3; Xu et al. 2023).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from clipself_mm.clip.region_pooling import mask_pool
from clipself_mm.detection.score_fusion import fuse_scores


def overlaps(pixels: int, tokens: int, length: float, device: torch.device | str) -> Tensor:
    """Fraction of every token that each pixel covers, along one axis.

    Args:
        pixels: Number of pixels of the image, W.
        tokens: Number of tokens of the padded image, w.
        length: Length of the image without padding, in tokens.
        device: Device of the result.

    Returns:
        Fractions of a token's length, float32 of shape (w, W); a row sums to the fraction of the
        token that is not padding.
    """
    edges = torch.arange(pixels + 1, device=device, dtype=torch.float64) * (length / pixels)
    starts = torch.arange(tokens, device=device, dtype=torch.float64)[:, None]
    covered = torch.minimum(edges[1:], starts + 1) - torch.maximum(edges[:-1], starts)
    return covered.clamp_min(0).float()


def masks_on_tokens(masks: Tensor, grid: Sequence[int], size: Sequence[float]) -> Tensor:
    """Average masks over the area of every token (area interpolation at any ratio).

    Args:
        masks: Masks in the frame of the image, 0-1, shape (Q, H, W).
        grid: Tokens of the padded image, (h, w).
        size: (height, width) of the image without padding in tokens, floats.

    Returns:
        Fraction of each token that the mask covers, shape (Q, h, w); padding is 0.
    """
    rows = overlaps(masks.shape[1], grid[0], size[0], masks.device)
    columns = overlaps(masks.shape[2], grid[1], size[1], masks.device)
    return rows @ masks.float() @ columns.T


def clip_scores(dense: Tensor, masks: Tensor, text: Tensor, temperature: float) -> Tensor:
    """Class probabilities of masks from pooled dense features.

    Args:
        dense: Dense map of one image, shape (1, D, h, w).
        masks: Weights on the token grid, shape (Q, h, w).
        text: Class embeddings, shape (K, D).
        temperature: Factor between cosines and logits.

    Returns:
        Probabilities, shape (Q, K); uniform for an empty mask.
    """
    with torch.autocast(dense.device.type, enabled=False):
        pooled = F.normalize(mask_pool(dense.float(), [masks.float()]), dim=-1)
        cosines = pooled @ text.float().T
    return (temperature * cosines).softmax(dim=-1)


def match_classes(
    classes: Sequence[str],
    generator_classes: Sequence[str],
    matches: Mapping[str, Sequence[str]] | None = None,
) -> Tensor:
    """Assign the classes of a generator to the classes of a vocabulary.

    Args:
        classes: The K classes of the vocabulary.
        generator_classes: The G classes of the generator.
        matches: Class of the vocabulary to the classes of the generator that are synonyms or parts
            of it. Classes of equal name match by default; an entry here overrides that.

    Returns:
        Ones and zeros, float32 of shape (K, G); a column has at most one 1.

    Raises:
        ValueError: `matches` has an unknown class, or a class of the generator twice.
    """
    row = {name: index for index, name in enumerate(classes)}
    column = {name: index for index, name in enumerate(generator_classes)}
    owner = {name: name for name in generator_classes if name in row}
    listed: dict[str, str] = {}
    for name, parts in (matches or {}).items():
        parts = (parts,) if isinstance(parts, str) else parts
        unknown = [part for part in parts if part not in column]
        if unknown:
            raise ValueError(f'matches[{name!r}]: the generator has no classes {unknown}')
        if name not in row:
            raise ValueError(f'matches[{name!r}]: the vocabulary has no class {name!r}')
        for part in parts:
            if part in listed:
                raise ValueError(
                    f'matches: class {part!r} of the generator is listed for {listed[part]!r} and '
                    f'{name!r}, expected once'
                )
            listed[part] = name
    owner |= listed
    table = torch.zeros(len(classes), len(generator_classes), device='cpu')
    for part, name in owner.items():
        table[row[name], column[part]] = 1
    return table


def split_objectness(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Split the logits of a generator into class probabilities and objectness.

    Args:
        logits: Of G classes and, last, no object, shape (Q, G + 1).

    Returns:
        Probabilities of the classes given an object, shape (Q, G); probability of an object,
        shape (Q, 1).
    """
    logits = logits.float()
    return logits[:, :-1].softmax(dim=-1), logits.softmax(dim=-1)[:, :-1].sum(-1, keepdim=True)


def exponents(seen: Tensor, known: Tensor, alpha: float, beta: float) -> Tensor:
    """Exponent of CLIP's probability per class.

    Args:
        seen: Whether the generator was trained on the class, bool of shape (K).
        known: Whether the generator has a score for the class, bool of shape (K).
        alpha: Exponent for seen classes.
        beta: Exponent for unseen classes.

    Returns:
        Shape (K); 1 for a class without a score of the generator.
    """
    weights = torch.where(seen, alpha, beta)
    return torch.where(known, weights, torch.ones_like(weights))


def query_scores(
    predicted: Tensor, clip: Tensor | None, objectness: Tensor, weights: Tensor, score: str
) -> Tensor:
    """Probabilities of the classes and, last, of no object.

    Args:
        predicted: Probabilities of the generator for the vocabulary, given an object, shape (Q, K);
            0 for a class without a score.
        clip: Probabilities of CLIP, shape (Q, K); None only for 'pred'.
        objectness: Probability of an object, shape (Q, 1).
        weights: From `exponents`, shape (K); used for 'fused'.
        score: 'pred': `predicted`; the generator's probability of classes outside of the vocabulary
            counts as no object. 'clip': `clip`. 'fused': predicted^(1 - w) * clip^w, renormalised
            over the classes.

    Returns:
        Shape (Q, K + 1); rows sum to 1.

    Raises:
        ValueError: `score` is unknown, or `clip` is missing.
    """
    if score == 'pred':
        classes = predicted
    elif score not in ('clip', 'fused') or clip is None:
        raise ValueError(
            f"score: expected 'pred', 'clip' or 'fused' (these two with `clip`), got {score!r}"
        )
    elif score == 'clip':
        classes = clip
    else:
        classes = fuse_scores(predicted, clip, weights)
        classes = classes / classes.sum(dim=-1, keepdim=True).clamp_min(1e-30)
    classes = classes * objectness
    return torch.cat([classes, 1 - classes.sum(dim=-1, keepdim=True)], dim=-1).clamp_min(0)


def semantic_labels(scores: Tensor, masks: Tensor, values: int = 2**26) -> Tensor:
    """Label of every pixel: argmax over classes of the sum over queries of score times mask.

    Semantic inference of MaskFormer (Cheng et al. 2021, section 3.4).

    Args:
        scores: Probabilities of the K classes, without no object, shape (Q, K).
        masks: Mask logits, shape (Q, H, W).
        values: Number of values held at once; a chunk has at least one row of pixels.

    Returns:
        Labels, int64 of shape (H, W).
    """
    _, height, width = masks.shape
    step = max(1, values // (width * max(scores.shape)))
    parts = [
        torch.einsum('qk,qhw->khw', scores, masks[:, start : start + step].sigmoid()).argmax(0)
        for start in range(0, height, step)
    ]
    return torch.cat(parts)
